//! Kafka Streams as the judge: the program beside the repository, run on many cases at a time. Not our interpreter.
//! Invariant: a verdict is what the judge printed for that very case; where it printed nothing there is none.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The judge is started anew for each batch, so one that works longer hangs on a case.
const BATCH_S_MAX: u64 = 900;

/// Starts of the judge that give no result, one after another, after which it is not started again.
const BARREN_STARTS_MAX: usize = 3;

/// Where the judge lies, seen from the workspace.
const PROGRAM: &str = "../shared/oracle/oracle";

/// The judge.
#[derive(Debug)]
pub struct Judge {
    program: PathBuf,
    folder: PathBuf,
}

/// A batch that the judge is working on, or what is left of it.
#[derive(Debug)]
pub struct Hearing {
    program: PathBuf,
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
            fs::write(file_of(&folder, at), case.to_string())?;
        }
        let child = start(&self.program, &folder)?;
        Ok(Hearing {
            program: self.program.clone(),
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
    /// The judge takes cases by the names of their files and tells each result at once. A case may end it: one whose result does
    /// not fit into its memory, or one it hangs on. Then it is started anew on the cases behind.
    ///
    /// # Errors
    /// If the judge gives no result at all, or what it printed cannot be read.
    pub fn verdicts(mut self) -> Result<Vec<Option<Value>>> {
        let mut verdicts = vec![None; self.names.len()];
        let (mut next, mut barren) = (0, 0);
        loop {
            self.wait()?;
            let told = self.told()?;
            barren = if told.is_empty() { barren + 1 } else { 0 };
            // The case behind the last result has none, whether or not it ended the judge.
            let last = told.iter().map(|(at, _)| at + 1).max();
            let behind = last.unwrap_or(next) + 1;
            for (at, result) in told {
                if let Some(verdict) = verdicts.get_mut(at) {
                    *verdict = Some(result);
                }
            }
            if behind >= verdicts.len() || barren == BARREN_STARTS_MAX {
                break;
            }
            for at in next..behind {
                fs::remove_file(file_of(&self.folder, at))?;
            }
            next = behind;
            self.child = start(&self.program, &self.folder)?;
        }
        if barren > 0 && verdicts.iter().all(Option::is_none) {
            let error = fs::read_to_string(self.folder.join("err"))?;
            bail!(
                "the judge gave no result at all: {}",
                error.lines().next().unwrap_or_default()
            );
        }
        for (verdict, name) in verdicts.iter_mut().zip(self.names) {
            if let Some(result) = verdict {
                result["name"] = name;
            }
        }
        Ok(verdicts)
    }

    /// Until the judge has ended by itself, or has been ended because it hangs.
    fn wait(&mut self) -> Result<()> {
        let begin = Instant::now();
        while self.child.try_wait()?.is_none() {
            if begin.elapsed() > Duration::from_secs(BATCH_S_MAX) {
                self.child.kill()?;
                self.child.wait()?;
                eprintln!("fuzz: the judge hangs, see {}", self.folder.display());
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// What it printed, by the place of the case. The last line counts only as a whole.
    fn told(&self) -> Result<Vec<(usize, Value)>> {
        let text = fs::read_to_string(self.folder.join("out"))?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let results = whole.lines().map(|line| {
            let result: Value = serde_json::from_str(line).context("the judge's output")?;
            let at = result["name"].as_str().unwrap_or_default().parse();
            Ok((
                at.context("the judge's output has a name of its own")?,
                result,
            ))
        });
        results.collect()
    }
}

/// The file of a case, whose place in the order of names is its place in the batch.
fn file_of(folder: &Path, at: usize) -> PathBuf {
    folder.join(format!("{at:06}.json"))
}

/// Starts the judge on the cases of a folder.
fn start(program: &Path, folder: &Path) -> Result<Child> {
    Command::new(program)
        .arg("--dir")
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(fs::File::create(folder.join("out"))?)
        .stderr(fs::File::create(folder.join("err"))?)
        .spawn()
        .with_context(|| program.display().to_string())
}

#[cfg(test)]
mod tests;
