//! Read-your-writes while instances die: orders are placed at one process and read at another with the token of the answer, on
//! Kafka, and process after process is killed with SIGKILL. Half of the pairs go without the token: what they miss is shown.
//! Invariant: with the token a read that answers has the order. What does not answer is counted and asked again, never taken for one.

use crate::place::{Place, on_kafka};
use crate::process::Process;
use crate::samples::order;
use crate::server::Answer;
use orders::model::Product::Jumpers;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Pairs that are under way at once.
const CLIENTS: u32 = 8;
/// How long a pair may be asked again: longer than the session of a process that was killed.
const PAIR_MAX: Duration = Duration::from_secs(120);
/// Between a refusal and the next try.
const PAUSE: Duration = Duration::from_millis(10);

#[test]
fn a_thousand_writes_are_read_with_their_token_while_processes_are_killed() {
    on_kafka(|place| campaign(place, 1_000, 3, 2));
}

#[test]
#[ignore = "takes minutes"]
fn twenty_thousand_writes_are_read_with_their_token_while_processes_are_killed() {
    on_kafka(|place| campaign(place, 20_000, 60, 3));
}

struct Campaign {
    seed: u64,
    processes: Vec<Process>,
    /// With the token, and as many without.
    pairs: u32,
    done: AtomicU32,
    tally: Mutex<Tally>,
}

#[derive(Default)]
struct Tally {
    /// By whether the token was carried.
    missed: BTreeMap<bool, Vec<u32>>,
    times: BTreeMap<bool, Vec<Duration>>,
    /// Answers, and reasons without one, after which was asked again.
    again: BTreeMap<String, u32>,
}

fn campaign(place: &Place, pairs: u32, kills: u32, processes: usize) {
    let seed = std::env::var("HEADWATER_SEED").ok();
    let seed = seed.map_or(1, |seed| seed.parse().expect("HEADWATER_SEED is a number"));
    println!("seed {seed}: HEADWATER_SEED gives its kills again");
    let servers = place.servers().expect("a place on Kafka");
    let start = |number| Process::start(&place.dir.path().join(format!("{number}")), servers);
    let campaign = Campaign {
        seed,
        processes: (0..processes).map(start).collect(),
        pairs,
        done: AtomicU32::new(0),
        tally: Mutex::default(),
    };
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let campaign = &campaign;
            scope.spawn(move || campaign.client(client));
        }
        campaign.kill(kills);
    });
    for process in &campaign.processes {
        process.stop();
    }
    campaign.judge(kills);
}

impl Campaign {
    /// Every so many pairs one process dies, and comes back before the next one dies.
    fn kill(&self, kills: u32) {
        let mut random = Random(self.seed);
        for kill in 1..=kills {
            let after = 2 * self.pairs / (kills + 1) * kill;
            self.wait_for(after);
            let victim = &self.processes[random.below(self.processes.len() as u64) as usize];
            victim.kill();
            std::thread::sleep(Duration::from_millis(random.below(1_500)));
            victim.restart();
        }
    }

    /// Waits until so many pairs are done; fails where none was done for long, as behind a client that failed.
    fn wait_for(&self, pairs: u32) {
        let (mut before, mut since) = (0, Instant::now());
        loop {
            let done = self.done.load(Ordering::Acquire);
            if done >= pairs {
                return;
            }
            if done > before {
                (before, since) = (done, Instant::now());
            }
            assert!(
                since.elapsed() < 2 * PAIR_MAX,
                "{done} pairs, and no more come"
            );
            std::thread::sleep(PAUSE);
        }
    }

    fn client(&self, client: u32) {
        for number in (client..2 * self.pairs).step_by(CLIENTS as usize) {
            let mut random = Random(self.seed ^ u64::from(number) << 20);
            // Of every client's pairs half.
            let with_token = (number / CLIENTS).is_multiple_of(2);
            let begun = Instant::now();
            let token = self.write(number, &mut random);
            let token = token.filter(|_| with_token);
            let found = self.read(number, token.as_deref(), &mut random);
            let mut tally = self.tally.lock().unwrap();
            tally
                .times
                .entry(with_token)
                .or_default()
                .push(begun.elapsed());
            if !found {
                tally.missed.entry(with_token).or_default().push(number);
            }
            self.done.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Places the order; the token. A try that broke off may have placed it: then the next one finds it, and what is found is visible.
    fn write(&self, number: u32, random: &mut Random) -> Option<String> {
        let order = order(number, 2, Jumpers, 1, 1.0);
        let body = serde_json::to_string(&order).unwrap();
        let head = format!(
            "POST /v1/orders HTTP/1.1\r\ncontent-length: {}\r\n",
            body.len()
        );
        let placed = self.ask("POST", &head, &body, random, |status| status == 201);
        placed.header("headwater-token").map(str::to_owned)
    }

    /// Whether the order is there, by a read that does not wait for it but for the token.
    fn read(&self, number: u32, token: Option<&str>, random: &mut Random) -> bool {
        let token = token.map_or_else(String::new, |it| format!("headwater-token: {it}\r\n"));
        let head = format!("GET /stores/orders-store/{number} HTTP/1.1\r\n{token}");
        let answered = |status| status == 200 || status == 404;
        self.ask("GET", &head, "", random, answered).status == 200
    }

    /// Asks any process, and any process again until one gives an answer that is one.
    fn ask(
        &self,
        verb: &str,
        head: &str,
        body: &str,
        random: &mut Random,
        is_answer: fn(u16) -> bool,
    ) -> Answer {
        let begun = Instant::now();
        loop {
            let process = &self.processes[random.below(self.processes.len() as u64) as usize];
            let why = match process.ask(head, body) {
                Ok(answer) if is_answer(answer.status) => return answer,
                Ok(answer) if [502, 503, 504].contains(&answer.status) => answer.status.to_string(),
                Ok(answer) => panic!("{head}{answer:?}"),
                Err(_) => "no answer".to_owned(),
            };
            assert!(begun.elapsed() < PAIR_MAX, "{head}{why}");
            let mut tally = self.tally.lock().unwrap();
            *tally.again.entry(format!("{verb} {why}")).or_default() += 1;
            drop(tally);
            std::thread::sleep(PAUSE);
        }
    }

    fn judge(self, kills: u32) {
        let mut tally = self.tally.into_inner().unwrap();
        println!(
            "{} pairs each with and without the token, {} processes, {kills} kills; asked again after {:?}",
            self.pairs,
            self.processes.len(),
            tally.again
        );
        for (with_token, times) in &mut tally.times {
            times.sort();
            let missed = tally.missed.get(with_token).map_or(0, Vec::len);
            let at = |share: usize| times[(times.len() - 1) * share / 100];
            println!(
                "with token {with_token}: {missed} of {} reads missed their write; a pair p50 {:?}, p99 {:?}, longest {:?}",
                times.len(),
                at(50),
                at(99),
                at(100)
            );
        }
        assert_eq!(tally.missed.get(&true), None, "reads with the token missed");
        assert_eq!(tally.times[&true].len(), self.pairs as usize);
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ mixed >> 31) % bound
    }
}
