//! The instruction guard: what the hot paths cost, counted by valgrind and held against `bench/instructions.json`.
//! Not a timing: the count is the same on a busy machine. Invariant: a path is compared strictly only with a count that was
//! taken under the same conditions (architecture, processor features, C library, compiler), which the file records.
//!
//! Each path runs for `n` and for `2 n` operations; the difference, divided by `n`, is free of start-up.

use crate::{process, root};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

const PACKAGE: &str = "headwater-bench";
const BASELINES: &str = "bench/instructions.json";
/// Above this ratio to the baseline the guard fails; below its mirror it asks for a new baseline.
const PERCENT_MAX: f64 = 5.0;
/// The limit where conditions differ: another memcpy moves a path by a few percent, another compiler by more, and what
/// exceeds this is neither.
const PERCENT_MAX_ELSEWHERE: f64 = 25.0;

/// One path's count.
struct Counted {
    name: String,
    operation: String,
    instructions: f64,
}

/// `cargo xtask guard`.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    match arguments {
        [] => check(),
        [only] if only == "--bless" => bless(),
        _ => bail!("guard takes no argument but --bless"),
    }
}

/// Counts every path and compares.
pub(crate) fn check() -> Result<()> {
    if !has_valgrind() {
        let message = "valgrind is not installed, so no instruction was counted";
        if std::env::var("CI").is_ok_and(|ci| ci == "true") {
            bail!("{message}");
        }
        eprintln!("guard: SKIPPED: {message}; `apt-get install valgrind`");
        return Ok(());
    }
    let program = build()?;
    let (listed, conditions) = describe(&program)?;
    let text = fs::read_to_string(file())
        .with_context(|| format!("cannot read {BASELINES}; make it with --bless"))?;
    let known: Value = serde_json::from_str(&text).with_context(|| BASELINES.to_owned())?;
    if known["conditions"]["arch"] != conditions["arch"] {
        eprintln!(
            "guard: SKIPPED: counted on {}, this is {}",
            known["conditions"]["arch"], conditions["arch"]
        );
        return Ok(());
    }
    let differences = differences(&known["conditions"], &conditions);
    let limit = if differences.is_empty() {
        PERCENT_MAX
    } else {
        PERCENT_MAX_ELSEWHERE
    };
    if !differences.is_empty() {
        eprintln!("guard: OTHER CONDITIONS than the baseline's: only growth above {limit} % fails");
        differences
            .iter()
            .for_each(|line| eprintln!("guard:   {line}"));
    }
    verdict(&count(&program, &listed)?, &known["instructions"], limit)
}

fn verdict(counted: &[Counted], known: &Value, limit: f64) -> Result<()> {
    let (mut grown, mut shrunk) = (Vec::new(), Vec::new());
    println!(
        "{:<22} {:>10} {:>10} {:>8}  one operation",
        "instructions", "baseline", "found", "change"
    );
    for path in counted {
        let Some(before) = known[&path.name].as_f64() else {
            println!("{:<22} {:>10} {:>10.1}", path.name, "-", path.instructions);
            grown.push(format!("{} has no baseline", path.name));
            continue;
        };
        let change = (path.instructions / before - 1.0) * 100.0;
        println!(
            "{:<22} {before:>10.1} {:>10.1} {change:>+7.1}%  {}",
            path.name, path.instructions, path.operation
        );
        if change > limit {
            let found = path.instructions;
            grown.push(format!(
                "{}: {before:.1} instructions grew to {found:.1}, {change:+.1} %",
                path.name
            ));
        } else if change < -limit {
            shrunk.push(path.name.as_str());
        }
    }
    if !shrunk.is_empty() {
        println!(
            "guard: {} got cheaper: keep the gain with `cargo xtask guard --bless`",
            shrunk.join(", ")
        );
    }
    if !grown.is_empty() {
        bail!(
            "a hot path costs more than {limit} % over {BASELINES}:\n  {}\nif it is worth it, say so in the commit and `cargo xtask guard --bless`",
            grown.join("\n  ")
        );
    }
    Ok(())
}

fn bless() -> Result<()> {
    let program = build()?;
    let (listed, conditions) = describe(&program)?;
    let counted = count(&program, &listed)?;
    let instructions: BTreeMap<&str, f64> = counted
        .iter()
        .map(|path| {
            (
                path.name.as_str(),
                (path.instructions * 10.0).round() / 10.0,
            )
        })
        .collect();
    let text = serde_json::to_string_pretty(
        &json!({"conditions": conditions, "instructions": instructions}),
    )?;
    fs::write(file(), text + "\n").with_context(|| BASELINES.to_owned())?;
    for path in &counted {
        println!(
            "{:<22} {:>10.1}  {}",
            path.name, path.instructions, path.operation
        );
    }
    Ok(())
}

fn file() -> PathBuf {
    root().join(BASELINES)
}

fn has_valgrind() -> bool {
    Command::new("valgrind")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}

/// Builds the benchmark optimised and answers where it is.
fn build() -> Result<PathBuf> {
    let arguments = [
        "build",
        "--release",
        "--package",
        PACKAGE,
        "--message-format",
        "json-render-diagnostics",
    ];
    let output = process::output(&mut process::cargo(&arguments))?;
    let text = String::from_utf8_lossy(&output);
    let executable = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|message| {
            let ours = message["target"]["name"] == PACKAGE;
            message["executable"]
                .as_str()
                .filter(|_| ours)
                .map(PathBuf::from)
        });
    executable.with_context(|| format!("cargo named no executable for {PACKAGE}"))
}

/// The paths, with what a count depends on besides the code.
fn describe(program: &PathBuf) -> Result<(Value, Value)> {
    let output = process::output(valgrind(program).arg("hot"))?;
    let listed: Value = serde_json::from_slice(&output).context("the list of hot paths")?;
    let first_line = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        let text = output
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
            .unwrap_or_default();
        text.lines().next().unwrap_or("unknown").to_owned()
    };
    let conditions = json!({
        "arch": std::env::consts::ARCH,
        "features": listed["features"],
        "libc": first_line("getconf", &["GNU_LIBC_VERSION"]),
        "rustc": first_line("rustc", &["--version"]),
        "valgrind": first_line("valgrind", &["--version"]),
    });
    Ok((listed, conditions))
}

fn differences(known: &Value, found: &Value) -> Vec<String> {
    let fields = found.as_object().into_iter().flatten();
    fields
        .filter(|(name, value)| known[name.as_str()] != **value)
        .map(|(name, value)| format!("{name}: {value} instead of {}", known[name.as_str()]))
        .collect()
}

/// A command that runs `program` under valgrind and counts its instructions, nothing else.
fn valgrind(program: &PathBuf) -> Command {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .current_dir(root())
        // The environment lies on the stack: another one would move alignments, and with them the paths memcpy takes.
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

fn count(program: &PathBuf, listed: &Value) -> Result<Vec<Counted>> {
    let paths = listed["paths"]
        .as_array()
        .context("the list of hot paths")?;
    let mut counted = Vec::new();
    for path in paths {
        let text = |field: &str| path[field].as_str().unwrap_or_default().to_owned();
        let operations = path["operations"]
            .as_u64()
            .context("operations of a hot path")?;
        let once = collected(program, &text("name"), operations)?;
        let twice = collected(program, &text("name"), 2 * operations)?;
        counted.push(Counted {
            name: text("name"),
            operation: text("operation"),
            instructions: twice.saturating_sub(once) as f64 / operations as f64,
        });
    }
    Ok(counted)
}

/// The instructions of one whole run.
fn collected(program: &PathBuf, path: &str, operations: u64) -> Result<u64> {
    let mut command = valgrind(program);
    command.args(["hot", path, &operations.to_string()]);
    let output = command
        .output()
        .with_context(|| format!("cannot start `{}`", process::shown(&command)))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!(
            "`{}` ended with {}:\n{text}",
            process::shown(&command),
            output.status
        );
    }
    let number = text
        .lines()
        .find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    number.with_context(|| format!("`{}` printed no count:\n{text}", process::shown(&command)))
}
