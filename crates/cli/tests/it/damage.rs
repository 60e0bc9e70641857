//! `headwater verify` on damaged copies. Not a repair. Invariant: every damage is named with its file, and the exit code is 1.

use crate::fixture::{loaded, run};
use std::{fs, path::Path};

/// Inverts one byte of a file below `dir`.
fn damage(dir: &Path, file: &str, at: usize) {
    let path = dir.join(file);
    let mut bytes = fs::read(&path).unwrap();
    bytes[at] = !bytes[at];
    fs::write(&path, bytes).unwrap();
}

#[test]
fn a_flipped_byte_is_found_with_its_file_and_place() {
    let segment = "topics/lines-0/00000000000000000000.log";
    for at in [20, 70, 109] {
        let dir = loaded();
        damage(dir.path(), segment, at);
        let ended = run(dir.path(), &["verify"]);
        assert_eq!(ended.code, Some(1), "byte {at}");
        let finding = format!("damage: DIR/{segment} is damaged at byte 0: ");
        assert!(ended.out.contains(&finding), "byte {at}: {}", ended.out);
        let advice = "headwater: 1 finding shows damage; restore DIR from a backup\n";
        assert_eq!(ended.err, advice);
        let ended = run(dir.path(), &["verify", "--json"]);
        let report: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
        assert_eq!((ended.code, &report["sound"]), (Some(1), &false.into()));
        assert_eq!(report["findings"][0]["file"], format!("DIR/{segment}"));
        assert_eq!(report["findings"][0]["position"], 0);
    }
}

#[test]
fn a_damaged_meta_file_or_a_lost_segment_is_found() {
    let dir = loaded();
    damage(dir.path(), "meta", 30);
    let ended = run(dir.path(), &["verify"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.out.contains("damage: DIR/meta is damaged at byte "),
        "{}",
        ended.out
    );
    let dir = loaded();
    let segment = "topics/mixed-0/00000000000000000000.log";
    fs::remove_file(dir.path().join(segment)).unwrap();
    let ended = run(dir.path(), &["verify"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.out.contains(&format!("damage: DIR/{segment} ")),
        "{}",
        ended.out
    );
    let ended = run(dir.path(), &["topics"]);
    assert_eq!((ended.code, ended.err.lines().count()), (Some(1), 1));
    assert!(ended.err.contains(segment), "{}", ended.err);
}
