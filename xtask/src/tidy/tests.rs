//! Each rule of tidy fires, and stays silent on what is right. Not tests of the workspace, but for the last one.
//! Invariant: no test here needs the network or a file outside a temporary folder, the last one excepted.

use super::{example, hash, layer, licence, size, source, version};
use crate::graph::{Graph, Package};
use source::Source;
use std::fs;

const PAGE: &str = "\
# Somewhere above is other text | with bars |

| folder | purpose | may use | async |
|---|---|---|---|
| `world` | the outside | - | no |
| `log` | bytes over time | world | no |
| `kafka` (later) | a broker | world, log | inside only |
| `examples/*` | for readers | headwater | yes |
| `headwater` | the facade | world, log | no |

| folder | a second table is not read |
";

fn ours(folder: &str, declared: &[&str]) -> Package {
    let last = folder.rsplit('/').next().unwrap();
    let plain = folder.starts_with("examples/") || last == "headwater";
    Package {
        name: if plain {
            last.to_owned()
        } else {
            format!("headwater-{last}")
        },
        folder: Some(folder.to_owned()),
        declared: declared.iter().map(|name| (*name).to_owned()).collect(),
        ..Package::default()
    }
}

fn other(name: &str, version: &str, linked: &[usize]) -> Package {
    Package {
        name: name.to_owned(),
        version: version.to_owned(),
        licence: Some("MIT".to_owned()),
        linked: linked.to_vec(),
        ..Package::default()
    }
}

fn complete() -> Graph {
    let packages = vec![
        ours("crates/world", &[]),
        ours("crates/log", &["headwater-world", "serde"]),
        ours("crates/headwater", &["headwater-log"]),
        ours("examples/word-count", &["headwater"]),
    ];
    Graph { packages }
}

#[track_caller]
fn check_layers(page: &str, graph: &Graph, expected: &[&str]) {
    let (table, mut findings) = layer::Table::parse(page);
    findings.extend(layer::check(&table, graph));
    check(&findings, expected);
}

/// One finding per expected part, in order, each containing it.
#[track_caller]
fn check(findings: &[String], expected: &[&str]) {
    let fits = findings
        .iter()
        .zip(expected)
        .all(|(finding, part)| finding.contains(part));
    assert!(
        fits && findings.len() == expected.len(),
        "expected {expected:#?}, found {findings:#?}"
    );
}

#[test]
fn a_graph_that_follows_the_table_has_no_findings() {
    check_layers(PAGE, &complete(), &[]);
}

#[test]
fn an_edge_outside_the_table_is_found() {
    let mut graph = complete();
    graph.packages[0].declared.push("headwater-log".to_owned());
    check_layers(PAGE, &graph, &["edge `headwater-world -> headwater-log`"]);
}

#[test]
fn an_example_may_use_the_facade_only() {
    let mut graph = complete();
    graph.packages[3].declared.push("headwater-log".to_owned());
    check_layers(PAGE, &graph, &["edge `word-count -> headwater-log`"]);
}

#[test]
fn a_package_without_a_row_is_found() {
    let mut graph = complete();
    graph.packages.push(ours("crates/gateway", &[]));
    check_layers(PAGE, &graph, &["`headwater-gateway` has no row"]);
}

#[test]
fn a_row_without_a_package_is_found_unless_it_says_later() {
    check_layers(
        &PAGE.replace(" (later)", ""),
        &complete(),
        &["row `kafka` has no package"],
    );
}

#[test]
fn a_later_row_whose_package_exists_is_found() {
    let mut graph = complete();
    graph.packages.push(ours("crates/kafka", &[]));
    check_layers(PAGE, &graph, &["its row still says (later)"]);
}

#[test]
fn a_crate_name_without_meaning_is_found() {
    for name in ["types", "common", "util", "utils", "core", "helpers"] {
        let mut graph = complete();
        graph.packages.push(ours(&format!("crates/{name}"), &[]));
        check_layers(PAGE, &graph, &["the name says nothing", "has no row"]);
    }
}

#[test]
fn tokio_behind_a_dependency_of_a_synchronous_crate_is_found() {
    let mut graph = complete();
    graph.packages[1].linked = vec![4];
    graph.packages.push(other("client", "1.0.0", &[5]));
    graph.packages.push(other("tokio", "1.0.0", &[]));
    check_layers(
        PAGE,
        &graph,
        &["`headwater-log` is synchronous but links tokio (client)"],
    );
}

#[test]
fn tokio_is_permitted_in_an_asynchronous_crate_and_not_charged_to_the_crates_above() {
    let mut graph = complete();
    graph.packages.push(ours("crates/kafka", &[]));
    graph.packages.push(other("tokio", "1.0.0", &[]));
    graph.packages[4].linked = vec![5];
    graph.packages[2].linked = vec![4];
    check_layers(&PAGE.replace(" (later)", ""), &graph, &[]);
}

#[test]
fn a_row_that_cannot_be_read_is_found() {
    let page = PAGE.replace("| world | no |", "| world | sometimes |");
    let expected = [
        "ARCHITECTURE.md:6: the async cell",
        "`headwater-log` has no row",
    ];
    check_layers(&page, &complete(), &expected);
    check_layers("no table", &Graph::default(), &["no table"]);
}

fn one_source(text: &str) -> Vec<Source> {
    vec![Source {
        path: "a.rs".to_owned(),
        text: text.to_owned(),
    }]
}

#[test]
fn a_file_without_a_head_is_found() {
    check(
        &source::check(&one_source("use std::fs;\n")),
        &["a.rs:1: open with `//!`"],
    );
    check(
        &source::check(&one_source("//! Something.\nuse std::fs;\n")),
        &[],
    );
}

#[test]
fn marks_of_unfinished_work_are_found_as_whole_words() {
    let text = concat!(
        "//! Head.\n// FIX",
        "ME: this\nlet x = 1; // TO",
        "DO(me)\nconst NOTODO_X: u8 = 1;\n"
    );
    check(
        &source::check(&one_source(text)),
        &[concat!("a.rs:2: FIX", "ME"), concat!("a.rs:3: TO", "DO")],
    );
}

fn function_of(lines: usize) -> String {
    format!(
        "impl Noun {{\n    fn long(\n        self,\n    ) {{\n{}    }}\n}}\n",
        "        call();\n".repeat(lines - 4)
    )
}

#[test]
fn a_function_longer_than_a_screen_is_found() {
    let max = size::FUNCTION_LINES_MAX;
    check(&size::check(&one_source(&function_of(max)), ""), &[]);
    let over = one_source(&function_of(max + 1));
    check(
        &size::check(&over, ""),
        &["function a.rs::long: 71 lines, the limit is 70"],
    );
    check(
        &size::check(&over, "# a comment\nfunction a.rs::long 71\n"),
        &[],
    );
}

#[test]
fn braces_in_strings_and_comments_do_not_end_a_function() {
    let text =
        "fn short() {\n    let a = \"}\"; // }\n    let b = r#\"{\"#;\n    let c = '}';\n}\n";
    check(&size::check(&one_source(text), ""), &[]);
}

#[test]
fn a_file_over_the_limit_is_found_and_its_comments_do_not_count() {
    let max = size::FILE_CODE_LINES_MAX;
    let text = |code: usize| {
        format!(
            "{}{}",
            "const A: u8 = 1;\n".repeat(code),
            "// why\n\n".repeat(max)
        )
    };
    check(&size::check(&one_source(&text(max)), ""), &[]);
    check(
        &size::check(&one_source(&text(max + 1)), ""),
        &["file a.rs: 601 lines, the limit is 600"],
    );
}

#[test]
fn the_ratchet_only_turns_one_way() {
    let long = one_source(&function_of(80));
    check(
        &size::check(&long, "function a.rs::long 79"),
        &["grew from 79 to 80"],
    );
    check(
        &size::check(&long, "function a.rs::long 81"),
        &["write 80 for 81"],
    );
    let short = one_source(&function_of(20));
    check(
        &size::check(&short, "function a.rs::long 80"),
        &["delete the line"],
    );
    check(
        &size::check(&short, "long 80x"),
        &["ratchet.txt:1: not `file"],
    );
}

#[test]
fn a_file_that_does_not_parse_is_found() {
    check(
        &size::check(&one_source("fn ("), ""),
        &["a.rs: cannot be parsed"],
    );
}

#[test]
fn licence_expressions_are_read_as_spdx_does() {
    let permitted = [
        "MIT",
        "MIT/Apache-2.0",
        "MIT OR Apache-2.0 OR LGPL-2.1-or-later",
        "(MIT OR GPL-3.0) AND Unicode-3.0",
        "Apache-2.0 WITH LLVM-exception",
        "GPL-2.0 AND MIT OR ISC",
    ];
    let refused = [
        "MPL-2.0",
        "GPL-3.0-only",
        "MIT AND GPL-3.0",
        "MIT AND",
        "MIT Apache-2.0",
        "(MIT",
        "",
    ];
    for expression in permitted {
        assert!(
            licence::permitted(expression),
            "{expression} should be permitted"
        );
    }
    for expression in refused {
        assert!(
            !licence::permitted(expression),
            "{expression} should be refused"
        );
    }
}

#[test]
fn a_dependency_without_a_permitted_licence_is_found() {
    let mut packages = vec![
        other("good", "1.0.0", &[]),
        other("weak", "2.0.0", &[]),
        other("none", "3.0.0", &[]),
    ];
    packages[1].licence = Some("MPL-2.0".to_owned());
    packages[2].licence = None;
    check(
        &licence::check(&Graph { packages }),
        &[
            "`weak 2.0.0` is under `MPL-2.0`",
            "`none 3.0.0` names no licence",
        ],
    );
}

#[test]
fn a_second_version_is_found_unless_listed() {
    let packages = vec![
        other("once", "1.0.0", &[]),
        other("twice", "1.0.0", &[]),
        other("twice", "2.0.0", &[]),
    ];
    let graph = Graph { packages };
    check(
        &version::check(&graph, ""),
        &["`twice` is there in versions 1.0.0, 2.0.0"],
    );
    check(&version::check(&graph, "twice # old one needed\n"), &[]);
    check(
        &version::check(&graph, "twice\nonce # was double\n"),
        &["`once` is no longer double"],
    );
}

#[test]
fn an_example_that_the_readme_does_not_mention_is_found() {
    check(&example::check(&complete(), "see examples/word-count"), &[]);
    check(
        &example::check(&complete(), "nothing"),
        &["README.md does not mention examples/word-count"],
    );
}

#[test]
fn a_page_whose_file_has_changed_is_found_until_blessed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("docs/design")).unwrap();
    fs::write(root.join("format.rs"), "one").unwrap();
    let page = root.join("docs/design/format.md");
    fs::write(
        &page,
        "# Format\n\n<!-- hash of format.rs: 0 -->\n    <!-- hash of no.rs: 0 -->\n",
    )
    .unwrap();
    check(
        &hash::check(root).unwrap(),
        &["docs/design/format.md:3: format.rs has changed"],
    );
    hash::bless(root).unwrap();
    check(&hash::check(root).unwrap(), &[]);
    let blessed = fs::read_to_string(&page).unwrap();
    assert!(
        blessed.starts_with("# Format\n\n<!-- hash of format.rs: ")
            && blessed.ends_with(" -->\n    <!-- hash of no.rs: 0 -->\n")
    );
    fs::write(root.join("format.rs"), "two").unwrap();
    check(&hash::check(root).unwrap(), &["bring the page up to date"]);
    fs::remove_file(root.join("format.rs")).unwrap();
    check(&hash::check(root).unwrap(), &["format.rs: No such file"]);
    fs::write(&page, "<!-- hash of format.rs -->\n").unwrap();
    check(&hash::check(root).unwrap(), &["a hash line reads"]);
}

#[test]
fn the_workspace_is_tidy() {
    let findings = super::findings(crate::root()).unwrap();
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}
