//! The tasks in what Kafka Streams' own assignor tells a member of a classic group (`AssignmentInfo`, versions 1 to 11).
//! Not written by us: our assignor has a form of its own. Invariant: damaged bytes are refused, and nothing is reserved for them.

use headwater_log::TaskId;

/// The first version with a commonly supported one behind it, and the first with the name of a topology in each task.
const COMMON_SINCE: i32 = 3;
const NAMED_SINCE: i32 = 10;
/// The newest one of Kafka Streams 4.3.
const VERSION_MAX: i32 = 11;

/// Active and standby tasks. Active ones are in the order of the partitions that the member was assigned, by topic and number: a task
/// that reads several stands there once for each.
pub(super) fn tasks(bytes: &[u8]) -> Option<(Vec<TaskId>, Vec<TaskId>)> {
    let mut input = bytes;
    let version = int(&mut input)?;
    if !(1..=VERSION_MAX).contains(&version) {
        return None;
    }
    if version >= COMMON_SINCE {
        int(&mut input)?;
    }
    let mut active = Vec::new();
    for _ in 0..int(&mut input)? {
        active.push(task(&mut input, version)?);
    }
    let mut standby = Vec::new();
    for _ in 0..int(&mut input)? {
        standby.push(task(&mut input, version)?);
        // Its partitions: those of its changelogs' tasks, which its number says already.
        for _ in 0..int(&mut input)? {
            let len = u16::from_be_bytes(take(&mut input, 2)?.try_into().ok()?);
            take(&mut input, usize::from(len))?;
            int(&mut input)?;
        }
    }
    standby.sort_unstable();
    Some((active, standby))
}

fn task(input: &mut &[u8], version: i32) -> Option<TaskId> {
    let (subtopology, partition) = (int(input)?, int(input)?);
    if version >= NAMED_SINCE {
        let chars = usize::try_from(int(input)?).ok()?;
        take(input, chars.checked_mul(2)?)?;
    }
    Some(TaskId {
        subtopology: subtopology.try_into().ok()?,
        partition: partition.try_into().ok()?,
    })
}

fn int(input: &mut &[u8]) -> Option<i32> {
    let bytes = take(input, 4)?;
    Some(i32::from_be_bytes(bytes.try_into().ok()?))
}

fn take<'a>(input: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = input.split_at_checked(len)?;
    *input = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(ints: &[i32]) -> Vec<u8> {
        ints.iter().flat_map(|it| it.to_be_bytes()).collect()
    }

    fn task_id(subtopology: u32, partition: u32) -> TaskId {
        TaskId {
            subtopology,
            partition,
        }
    }

    #[test]
    fn active_and_standby_tasks_are_read_and_damage_is_refused() {
        // Version 11, commonly 11; tasks 0_1 twice and 1_0; standby 0_0 with one partition.
        let mut whole = bytes(&[11, 11, 3, 0, 1, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0, 0, 1]);
        whole.extend(1u16.to_be_bytes());
        whole.extend(b"t");
        whole.extend(0i32.to_be_bytes());
        let active = vec![task_id(0, 1), task_id(0, 1), task_id(1, 0)];
        let expected = (active, vec![task_id(0, 0)]);
        assert_eq!(tasks(&whole), Some(expected));
        for len in 0..whole.len() {
            assert_eq!(tasks(&whole[..len]), None, "cut at {len}");
        }
        assert_eq!(tasks(&bytes(&[12, 12, 0, 0])), None);
        assert_eq!(tasks(&bytes(&[1, i32::MAX])), None);
        let first = bytes(&[1, 1, 2, 3, 0]);
        assert_eq!(tasks(&first), Some((vec![task_id(2, 3)], vec![])));
    }
}
