//! What comes of one case when both judges have spoken. Not the comparison of results itself.
//! Invariant: a case that Headwater refuses is never counted as equal.

use super::fault;
use crate::{Case, Difference, Refusal, difference, run};
use serde_json::Value;
use std::{sync::mpsc::sync_channel, thread, time::Duration};

/// A case of a few dozen records takes milliseconds; one that takes this long goes round in a circle.
const CASE_S_MAX: u64 = 30;

/// What comes of a case.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// Both say the same.
    Equal,
    /// Both have a result, and here is the first difference.
    Different(Box<Difference>),
    /// Headwater broke: a panic, a hang, a case it could not read.
    Broken(String),
    /// Headwater has no such operator.
    Unsupported(String),
    /// Kafka Streams is at fault.
    Fault(&'static str),
    /// The judge has no result either.
    Unheard,
}

/// Runs a case here. The thread of one that hangs is left behind, for it cannot be stopped.
///
/// # Errors
/// If it is no case, uses what Headwater has not got, or breaks Headwater.
pub fn ours(case: &Value) -> Result<Value, Refusal> {
    let case = case.clone();
    let (sender, receiver) = sync_channel(1);
    thread::spawn(move || {
        let result = Case::of(&case).and_then(|case| run(&case));
        // Nobody listens any more after a timeout.
        let _ = sender.send(result);
    });
    let limit = Duration::from_secs(CASE_S_MAX);
    let hangs = || Err(Refusal::Broken(format!("no end after {CASE_S_MAX} s")));
    receiver.recv_timeout(limit).unwrap_or_else(|_| hangs())
}

/// Compares what both said.
#[must_use]
pub fn verdict(expected: Option<&Value>, actual: &Result<Value, Refusal>) -> Verdict {
    let Some(expected) = expected else {
        return Verdict::Unheard;
    };
    let different = match actual {
        Err(Refusal::Unsupported(what)) => return Verdict::Unsupported(what.clone()),
        Err(refusal) => Verdict::Broken(refusal.to_string()),
        Ok(actual) => match difference(expected, actual) {
            None => return Verdict::Equal,
            Some(difference) => Verdict::Different(Box::new(difference)),
        },
    };
    fault::of(expected).map_or(different, Verdict::Fault)
}

impl Verdict {
    /// What kind of difference it is, the same for two cases that differ in the same way; none if they do not differ.
    #[must_use]
    pub fn signature(&self) -> Option<String> {
        let text = match self {
            Self::Different(difference) if difference.place == "error" => {
                format!(
                    "error {} / {}",
                    stage(&difference.expected),
                    stage(&difference.actual)
                )
            }
            Self::Different(difference) if difference.place == "description" => {
                "description of only one".to_owned()
            }
            Self::Different(difference) => {
                let end = difference.place.find(['[', '.', ',']);
                difference.place[..end.unwrap_or(difference.place.len())].to_owned()
            }
            Self::Broken(what) => what
                .chars()
                .filter(|letter| !letter.is_ascii_digit())
                .collect(),
            _ => return None,
        };
        Some(text)
    }
}

/// The stage of an error as the difference shows it.
fn stage(error: &str) -> String {
    let error: Value = serde_json::from_str(error).unwrap_or_default();
    error["stage"].as_str().unwrap_or("none").to_owned()
}
