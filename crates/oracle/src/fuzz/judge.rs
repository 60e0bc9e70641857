//! Kafka Streams as the judge: the program beside the repository, run on many cases at a time. Not our interpreter.
//! Invariant: a verdict is what the judge printed for that very case; where it printed nothing there is none.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The judge is started anew for each batch, so a batch that takes longer hangs.
const BATCH_S_MAX: u64 = 900;

/// Where the judge lies, seen from the workspace.
const PROGRAM: &str = "../shared/oracle/oracle";

/// The judge.
#[derive(Debug)]
pub struct Judge {
    program: PathBuf,
    folder: PathBuf,
}

/// A batch that the judge is working on.
#[derive(Debug)]
pub struct Hearing {
    child: Child,
    folder: PathBuf,
    names: Vec<Value>,
}

impl Judge {
    /// The judge, or none where this machine has not got it. `folder` is the judge's to write in.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn find(folder: &Path) -> Result<Option<Self>> {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let program = workspace.join(PROGRAM);
        if !program.exists() {
            return Ok(None);
        }
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let folder = folder.to_owned();
        Ok(Some(Self { program, folder }))
    }

    /// Starts on a batch; two batches are never heard at the same time.
    ///
    /// # Errors
    /// If the files cannot be written or the program does not start.
    pub fn hear(&self, cases: &[Value]) -> Result<Hearing> {
        let folder = self.folder.join("batch");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let mut names = Vec::new();
        for (at, case) in cases.iter().enumerate() {
            let mut case = case.clone();
            names.push(case["name"].take());
            case["name"] = json!(at.to_string());
            fs::write(folder.join(format!("{at}.json")), case.to_string())?;
        }
        let child = Command::new(&self.program)
            .arg("--dir")
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(fs::File::create(folder.join("out"))?)
            .stderr(fs::File::create(folder.join("err"))?)
            .spawn()
            .with_context(|| self.program.display().to_string())?;
        Ok(Hearing {
            child,
            folder,
            names,
        })
    }

    /// Writes the judge's result beside a case file, in the judge's own layout.
    ///
    /// # Errors
    /// If the program fails.
    pub fn write(&self, file: &Path) -> Result<()> {
        let status = Command::new(&self.program)
            .arg("--write")
            .arg(file)
            .status()?;
        if !status.success() {
            bail!("the judge has no result for {}", file.display());
        }
        Ok(())
    }
}

impl Hearing {
    /// Waits for the verdicts, in the order of the cases. None for a case the judge could not run to a result.
    ///
    /// # Errors
    /// If the judge hangs, or nothing it printed can be read.
    pub fn verdicts(mut self) -> Result<Vec<Option<Value>>> {
        let begin = Instant::now();
        while self.child.try_wait()?.is_none() {
            if begin.elapsed() > Duration::from_secs(BATCH_S_MAX) {
                self.child.kill()?;
                self.child.wait()?;
                bail!("the judge hangs on a batch, see {}", self.folder.display());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let text = fs::read_to_string(self.folder.join("out"))?;
        let mut by_name = HashMap::new();
        for line in text.lines() {
            let result: Value = serde_json::from_str(line).context("the judge's output")?;
            by_name.insert(
                result["name"].as_str().unwrap_or_default().to_owned(),
                result,
            );
        }
        if by_name.is_empty() && !self.names.is_empty() {
            let error = fs::read_to_string(self.folder.join("err"))?;
            bail!(
                "the judge gave no result at all: {}",
                error.lines().next().unwrap_or_default()
            );
        }
        let names = self.names.into_iter().enumerate();
        Ok(names
            .map(|(at, name)| {
                let mut result = by_name.remove(&at.to_string())?;
                result["name"] = name;
                Some(result)
            })
            .collect())
    }
}
