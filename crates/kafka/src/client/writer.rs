//! What one client writes, one thing after the other: batches, commits, aborts, settlements. Runs on the I/O thread.
//! Not the conversation itself: see [`crate::transaction`] and [`crate::producer`]. Invariant: nothing computed from a commit
//! that failed reaches the log; a commit whose end is not known is followed by nothing but its settlement.
//!
//! ```text
//!             batches                    commit: flush, offsets, end
//! (no id) --take--> (open) ----------------------------------------> (open, next epoch)
//!    ^                |  \  failed: drop, take anew as the owner         |
//!    |                |   `------------------------------> refused: (fenced), for good
//!    `---- lost end, v1 <--------- (in doubt) <--- no answer to the end -'
//!                                     | settle: end again, or take anew and look
//! ```
//!
//! A client whose member was evicted goes on under another transactional id, from (no id), once what was open is given up.

mod doubt;
mod plain;

use super::shared::{Shared, Write};
use crate::{
    cluster::Cluster,
    membership::seat::Badged,
    producer::{Failure, Identity, Producer, Written},
    settings::Settings,
    transaction::{End, Transaction},
};
use doubt::Doubt;
use headwater_log::{
    ClientOptions, CommitRequest, Error, Guarantee, Receipt, Response, Result, Ticket,
    TopicPartition,
};
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet, VecDeque},
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Notify, time::Instant};

/// The names of a client's slots, by number.
pub(crate) type Names = Rc<RefCell<Vec<TopicPartition>>>;

/// How the last commit ended.
enum Last {
    None,
    Done(Receipt),
    InDoubt(Doubt),
}

/// A commit with the member as its coordinator knows it, where that is another than the worker's; `Err` says why it may not commit.
pub(crate) type Badge = Box<dyn Fn(&CommitRequest) -> Result<Option<Badged>, String>>;

/// How often the client's member has started over: it commits under a transactional id of its own each time.
pub(crate) type Incarnation = Rc<Cell<u32>>;

/// The one who writes.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    cluster: Rc<Cluster>,
    settings: Rc<Settings>,
    names: Names,
    badge: Badge,
    incarnation: Incarnation,
    /// The incarnation whose transactional id is in use.
    renewed: Cell<u32>,
    /// The incarnation whose commit was refused last.
    fenced_as: Cell<u32>,
    producer: Rc<Producer>,
    /// `None` without a transactional id.
    transaction: Option<Transaction>,
    exactly_once: bool,
    /// How long a commit may take before its end is asked for, and its end after that.
    patience: Duration,
    queue: RefCell<VecDeque<(u64, Write)>>,
    rung: Notify,
    /// The identity in use; `None` when the next write has to take one.
    identity: Cell<Option<Identity>>,
    /// The last one held, which a new one is asked for with.
    held: Cell<Option<Identity>>,
    /// The first try to take an id has ended, whichever way: open transactions of former owners are over, or nobody can tell.
    pub(crate) is_open: Cell<bool>,
    pub(crate) opened: Notify,
    /// Why nobody may write any more.
    fenced: RefCell<Option<String>>,
    /// What was computed up to this generation is void, for this reason.
    void: RefCell<Option<(u64, Error)>>,
    last: RefCell<Last>,
    /// Whose positions this client has committed. A broker that is asked for all of a group's positions leaves out those that
    /// are decided and not yet written, where there was none before; asked for by name it says that they are unstable.
    pub(crate) committed: RefCell<BTreeMap<Arc<str>, BTreeSet<TopicPartition>>>,
    /// v1: partitions that are part of the transaction.
    added: RefCell<BTreeSet<TopicPartition>>,
}

impl Writer {
    pub(crate) fn new(
        cluster: &Rc<Cluster>,
        shared: &Arc<Shared>,
        settings: &Rc<Settings>,
        options: &ClientOptions,
        names: Names,
        (badge, incarnation): (Badge, Incarnation),
    ) -> Rc<Self> {
        let exactly_once = options.guarantee == Guarantee::ExactlyOnce;
        let transaction = options.transactional_id.as_ref().map(|id| {
            Transaction::new(
                Rc::clone(cluster),
                id.clone(),
                options.transaction_timeout_ms,
            )
        });
        let patience = match transaction {
            Some(_) => Duration::from_millis(options.transaction_timeout_ms),
            None => settings.delivery_timeout,
        };
        Rc::new(Self {
            producer: Producer::new(
                Rc::clone(cluster),
                Arc::clone(shared),
                Rc::clone(settings),
                options.transactional_id.clone(),
            ),
            shared: Arc::clone(shared),
            cluster: Rc::clone(cluster),
            settings: Rc::clone(settings),
            names,
            badge,
            incarnation,
            renewed: Cell::new(0),
            fenced_as: Cell::new(0),
            transaction,
            exactly_once,
            patience,
            queue: RefCell::default(),
            rung: Notify::new(),
            identity: Cell::new(None),
            held: Cell::new(None),
            is_open: Cell::new(false),
            opened: Notify::new(),
            fenced: RefCell::new(None),
            void: RefCell::new(None),
            last: RefCell::new(Last::None),
            committed: RefCell::default(),
            added: RefCell::default(),
        })
    }

    pub(crate) fn push(&self, generation: u64, write: Write) {
        self.queue.borrow_mut().push_back((generation, write));
        self.rung.notify_one();
    }

    /// True when another client has taken the transactional id.
    pub(crate) fn is_fenced(&self) -> bool {
        self.fenced.borrow().is_some()
    }

    /// Which incarnation of the member was refused last.
    pub(crate) fn fenced_as(&self) -> u32 {
        self.fenced_as.get()
    }

    /// Waits until former owners' transactions are over.
    pub(crate) async fn wait_until_open(&self) {
        while !self.is_open.get() {
            self.opened.notified().await;
            // Several may wait: whoever wakes wakes the next.
            self.opened.notify_one();
        }
    }

    /// Never returns; the thread's end drops it.
    pub(crate) async fn run(self: Rc<Self>) {
        if self.transaction.is_some() {
            // An error shows again, and is told, at the first write.
            drop(self.take_identity(self.deadline()).await);
        }
        self.is_open.set(true);
        self.opened.notify_one();
        loop {
            let rung = self.rung.notified();
            let next = self.queue.borrow_mut().pop_front();
            match next {
                Some((generation, write)) => {
                    self.write(generation, write).await;
                    // The batches of a commit are handed over together: they leave when the last of them is there.
                    if !matches!(self.queue.borrow().front(), Some((_, Write::Batch(..)))) {
                        self.producer.pump();
                    }
                }
                None => rung.await,
            }
        }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.patience
    }

    async fn write(&self, generation: u64, write: Write) {
        let void = match &*self.void.borrow() {
            Some((up_to, error)) if generation <= *up_to => Some(error.clone()),
            _ => None,
        };
        match (write, void) {
            (Write::Batch(_, batch), Some(_)) => self.shared.acknowledged(batch.len()),
            (Write::Commit(ticket, _), Some(error)) => self.shared.complete(ticket, Err(error)),
            (Write::Batch(slot, batch), None) => {
                let len = batch.len();
                match self.ready_for(slot).await {
                    Ok(name) => self.producer.push(slot, &name, batch, len),
                    Err(failure) => {
                        self.shared.acknowledged(len);
                        self.producer.fail(failure);
                    }
                }
            }
            (Write::Commit(ticket, request), None) => {
                self.commit(generation, ticket, request).await
            }
            (Write::Abort(ticket), _) => {
                let aborted = self.abort().await;
                let result = if self.renew() { Ok(()) } else { aborted };
                self.shared
                    .complete(ticket, result.map(|()| Response::Done));
            }
            (Write::Discard, _) => {
                if self.producer.has_sent() {
                    // Its answer is nobody's: the next write finds out.
                    drop(self.abort().await);
                }
            }
            (Write::Settle(ticket), _) => {
                let result = self.settle().await;
                self.renew();
                self.shared.complete(ticket, result);
            }
        }
    }

    /// Goes on under another transactional id when the member has started over; true if so. Called with no transaction open: what
    /// was written for the former member has ended, or is ended by whoever took its id.
    fn renew(&self) -> bool {
        let (Some(transaction), wanted) = (&self.transaction, self.incarnation.get()) else {
            return false;
        };
        let is_in_doubt = matches!(&*self.last.borrow(), Last::InDoubt(_));
        if wanted == self.renewed.get() || is_in_doubt {
            return false;
        }
        self.renewed.set(wanted);
        self.producer.clear();
        self.producer.rename(transaction.rename(wanted));
        self.identity.set(None);
        self.held.set(None);
        *self.fenced.borrow_mut() = None;
        self.added.borrow_mut().clear();
        true
    }

    /// The name of a slot whose partition may be written to in the transaction at hand.
    async fn ready_for(&self, slot: headwater_log::Slot) -> Result<TopicPartition, Failure> {
        let identity = self.take_identity(self.deadline()).await?;
        let name = self.names.borrow()[slot.0 as usize].clone();
        let Some(transaction) = self.transaction.as_ref().filter(|it| !it.is_v2()) else {
            return Ok(name);
        };
        if self.added.borrow().contains(&name) {
            return Ok(name);
        }
        // With it, everything that waits for the same transaction: one request instead of many.
        let mut joining = BTreeSet::from([name.clone()]);
        for (_, write) in &*self.queue.borrow() {
            match write {
                Write::Batch(slot, _) => {
                    joining.insert(self.names.borrow()[slot.0 as usize].clone())
                }
                _ => break,
            };
        }
        let fresh: BTreeSet<_> = joining.difference(&self.added.borrow()).cloned().collect();
        let deadline = self.deadline();
        transaction
            .add_partitions(identity, fresh.iter(), deadline)
            .await?;
        self.added.borrow_mut().extend(fresh);
        Ok(name)
    }

    /// The identity in use, taken anew where there is none.
    async fn take_identity(&self, deadline: Instant) -> Result<Identity, Failure> {
        if let Some(reason) = &*self.fenced.borrow() {
            return Err(Failure::Epoch(reason.clone()));
        }
        if let Some(identity) = self.identity.get() {
            return Ok(identity);
        }
        let taken = match &self.transaction {
            Some(transaction) => transaction.take(self.held.get(), deadline).await,
            None => self.take_plain_identity(deadline).await,
        };
        match taken {
            Ok(identity) => {
                self.use_identity(identity, true);
                Ok(identity)
            }
            Err(failure) => {
                if let Failure::Epoch(reason) = &failure {
                    *self.fenced.borrow_mut() = Some(reason.clone());
                }
                Err(failure)
            }
        }
    }

    fn use_identity(&self, identity: Identity, anew: bool) {
        let is_v2 = self.transaction.as_ref().is_some_and(Transaction::is_v2);
        self.identity.set(Some(identity));
        self.held.set(Some(identity));
        self.producer.identify(identity, is_v2, anew);
        self.added.borrow_mut().clear();
    }

    async fn commit(&self, generation: u64, ticket: Ticket, request: CommitRequest) {
        let result = self.try_commit(request).await;
        if let Err(Error::Fenced(_)) = &result {
            self.fenced_as.set(self.renewed.get());
        }
        if let Err(error) = &result {
            *self.void.borrow_mut() = Some((generation, after(error)));
        }
        self.shared.complete(ticket, result.map(Response::Receipt));
    }

    async fn try_commit(&self, request: CommitRequest) -> Result<Receipt> {
        if let Last::InDoubt(_) = &*self.last.borrow() {
            return Err(Error::UnknownOutcome);
        }
        if self.exactly_once && self.transaction.is_none() {
            self.producer.clear();
            return Err(Error::Invalid(
                "a commit exactly once needs ClientOptions::transactional_id".into(),
            ));
        }
        *self.last.borrow_mut() = Last::None;
        if let Some(group) = request
            .group
            .clone()
            .filter(|_| !request.offsets.is_empty())
        {
            let names = request.offsets.iter().map(|(name, _)| name.clone());
            let mut committed = self.committed.borrow_mut();
            committed.entry(group).or_default().extend(names);
        }
        let deadline = self.deadline();
        let done = match &self.transaction {
            Some(transaction) => {
                self.commit_transaction(transaction, request, deadline)
                    .await
            }
            None => self.commit_plainly(request, deadline).await,
        };
        match done {
            Ok(receipt) => {
                self.producer.begin();
                *self.last.borrow_mut() = Last::Done(receipt.clone());
                Ok(receipt)
            }
            Err(Trouble::Failed(failure)) => Err(self.give_up(failure).await),
            Err(Trouble::Unknown(doubt)) => {
                self.producer.clear();
                *self.last.borrow_mut() = Last::InDoubt(*doubt);
                Err(Error::UnknownOutcome)
            }
        }
    }

    async fn commit_transaction(
        &self,
        transaction: &Transaction,
        request: CommitRequest,
        deadline: Instant,
    ) -> Result<Receipt, Trouble> {
        if let Some(failure) = self.producer.failure() {
            return Err(failure.into());
        }
        let identity = self.take_identity(deadline).await?;
        let written = self.producer.flush(deadline).await?;
        let group = request
            .group
            .clone()
            .filter(|_| !request.offsets.is_empty());
        if let Some(group) = &group {
            let badged = (self.badge)(&request).map_err(Failure::Member)?;
            let commit = badged.as_ref().map_or(&request, |badged| &badged.commit);
            let is_classic = badged.as_ref().is_some_and(|badged| badged.is_classic);
            let instance = badged.as_ref().and_then(|badged| badged.instance.clone());
            let added = transaction.add_offsets(identity, group, (commit, instance), deadline);
            added.await.map_err(|failure| judged(failure, is_classic))?;
        }
        let receipt = self.receipt(&written, deadline).await?;
        if written.is_empty() && group.is_none() {
            return Ok(receipt);
        }
        // The end has its own time: the transaction lives until the broker says otherwise.
        let ended = transaction.end(identity, true, self.deadline()).await;
        let doubt = || {
            Trouble::Unknown(Box::new(Doubt {
                identity,
                request: request.clone(),
                written: written.clone(),
                receipt: receipt.clone(),
            }))
        };
        match ended {
            End::Done { next, lost } => {
                self.go_on(transaction, next, lost);
                Ok(receipt)
            }
            End::Refused { lost: true, .. } | End::Unknown => Err(doubt()),
            End::Refused { code, .. } => Err(crate::transaction::failure_of(code, "EndTxn").into()),
            End::NotSent(reason) => Err(Failure::Aborted(format!("EndTxn: {reason}")).into()),
            End::Fatal(error) => Err(Failure::Refused(error).into()),
        }
    }

    /// After an end that was heard: with the next epoch, or the same one.
    fn go_on(&self, transaction: &Transaction, next: Identity, lost: bool) {
        let anew = self.identity.get() != Some(next);
        self.use_identity(next, anew);
        if lost && !transaction.is_v2() {
            // A late copy of the lost request must not end the next transaction.
            self.identity.set(None);
        }
    }

    /// Ends what failed, and finds out whether this client is still the owner.
    async fn give_up(&self, failure: Failure) -> Error {
        let had_sent = self.producer.has_sent();
        self.producer.clear();
        self.identity.set(None);
        let is_epoch = matches!(failure, Failure::Epoch(_));
        let must_ask = is_epoch || had_sent || matches!(failure, Failure::Member(_));
        if self.transaction.is_some() && must_ask && !self.is_fenced() {
            // Taking the id as its owner ends the transaction. When nobody answers, the next write asks again: until then
            // nothing of this one can be committed.
            drop(self.take_identity(self.deadline()).await);
        }
        if let Some(reason) = &*self.fenced.borrow() {
            return Error::Fenced(reason.clone());
        }
        match failure {
            Failure::Refused(error) => error,
            Failure::Aborted(reason) => Error::Aborted(reason),
            Failure::Epoch(reason) => Error::Aborted(format!(
                "the transaction timed out at the broker, this client is still its owner: {reason}"
            )),
            Failure::Member(reason) => Error::Fenced(reason),
        }
    }

    /// Drops what was written since the last commit.
    async fn abort(&self) -> Result<()> {
        let Some(transaction) = &self.transaction else {
            self.producer.clear();
            // What is in flight may have been written: the sequences are not known any more.
            self.identity.set(None);
            return Ok(());
        };
        let had_sent = self.producer.has_sent();
        // On v2 the end fences what is still in flight; on v1 it could arrive late, in the next transaction.
        let failed = match transaction.is_v2() {
            true => self.producer.failure().is_some(),
            false => self.producer.flush(self.deadline()).await.is_err(),
        };
        self.producer.clear();
        if !had_sent {
            return Ok(());
        }
        let ended = match self.identity.get() {
            Some(identity) if !failed => transaction.end(identity, false, self.deadline()).await,
            _ => End::NotSent(String::new()),
        };
        if let End::Done { next, lost } = ended {
            self.go_on(transaction, next, lost);
            return Ok(());
        }
        self.identity.set(None);
        match self.take_identity(self.deadline()).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(self.give_up(failure).await),
        }
    }

    async fn receipt(&self, written: &[Written], deadline: Instant) -> Result<Receipt, Trouble> {
        let mut ends = Vec::with_capacity(written.len());
        for written in written {
            let end = match written.lacks_end {
                true => self.end_of(&written.partition, deadline).await?,
                false => written.end,
            };
            ends.push((written.partition.clone(), end));
        }
        Ok(Receipt { ends })
    }
}

/// Why a commit did not end well.
enum Trouble {
    Failed(Failure),
    Unknown(Box<Doubt>),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What the commits after a failed one end with.
fn after(error: &Error) -> Error {
    match error {
        Error::UnknownOutcome | Error::TimedOut(_) => Error::UnknownOutcome,
        Error::Fenced(reason) => Error::Fenced(reason.clone()),
        other => Error::Aborted(format!("the commit before it failed: {other}")),
    }
}

/// In a classic group a member may be refused while a round is under way; if it was evicted instead, its next heartbeat tells.
fn judged(failure: Failure, is_classic: bool) -> Failure {
    match failure {
        Failure::Member(reason) if is_classic => Failure::Aborted(reason),
        failure => failure,
    }
}
