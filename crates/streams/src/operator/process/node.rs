//! A processor as an operator: guarded, opened, punctuated and closed by its task.
//! Not the processor itself. Invariant: a processor is never entered while it is at work; records that come then wait.

use super::context::Cause;
use super::timers::{self, Timer};
use super::{Processor, ProcessorContext};
use crate::format::{FormatOf, Formats};
use crate::task::{
    Context, FireTimers, Meta, Outputs, Punctuate, Punctuation, PunctuationKind, ReceiveRecord,
    Wiring, caught, fail,
};
use crate::topology::{OnError, Topology};
use crate::{Error, Headers, Position, Record, Result};
use headwater_log::HeadersRef;
use std::cell::{Cell, RefCell};
use std::{collections::VecDeque, rc::Rc, sync::Arc};

/// Timers that one turn calls, or little more: a timer that sets another which is due as well does not hold the task up.
const TIMERS_PER_TURN_MAX: u64 = 10_000;

/// Where a processor stands in its task.
pub(crate) struct Place {
    pub(crate) name: Arc<str>,
    /// Its number among the task's processors.
    pub(crate) number: Cell<usize>,
    /// The stores it may open.
    pub(crate) stores: Vec<usize>,
    /// The operators that follow it.
    pub(crate) children: Vec<String>,
}

impl Place {
    /// The place of an operator that is asked to forward nothing.
    pub(crate) fn new(name: &str, stores: Vec<usize>) -> Self {
        Self {
            name: name.into(),
            number: Cell::new(0),
            stores,
            children: Vec::new(),
        }
    }

    pub(crate) fn not_connected(&self, store: &str) -> Error {
        Error::Processor {
            node: self.name.to_string(),
            reason: format!(
                "store '{store}' is not connected; pass its handle to the verb that adds the processor"
            ),
        }
    }
}

/// A processor as a node.
pub(crate) struct ProcessorNode<P: Processor> {
    processor: RefCell<P>,
    /// Records that came while the processor was at work: flushing a record cache in the midst of a record may lead back to it.
    /// As many as one record causes.
    waiting: RefCell<VecDeque<Record<P::KeyIn, P::ValueIn>>>,
    place: Place,
    on_error: OnError,
    /// Its stores of timers.
    timers: Vec<TimersOf<P::KeyIn>>,
    /// A store of it has a record cache, which keeps the headers of what caused an update, or tells the changelog those of a deletion.
    keeps_headers: bool,
    outputs: Outputs<P::KeyOut, P::ValueOut>,
}

impl<P: Processor> ProcessorNode<P> {
    /// The processor of `node`, registered to be opened, punctuated and closed.
    pub(crate) fn wire(wiring: &mut Wiring<'_>, node: usize, processor: P) -> Shared<P> {
        let topology = wiring.topology;
        let built = &topology.nodes[node];
        let name = |child: &usize| topology.nodes[*child].name.clone();
        let keeps_headers = |store: &usize| {
            let store = &topology.stores[*store];
            store.cached || store.kept.tells_deletions()
        };
        let shared = Rc::new(Self {
            processor: RefCell::new(processor),
            waiting: RefCell::default(),
            place: Place {
                name: built.name.as_str().into(),
                number: Cell::new(0),
                stores: built.stores.clone(),
                children: built.children.iter().map(name).collect(),
            },
            on_error: topology.settings.on_error.clone(),
            timers: timers_of(topology, &built.stores),
            keeps_headers: built.stores.iter().any(keeps_headers),
            outputs: wiring.outputs(node),
        });
        wiring.open_with_task(node, shared.clone());
        if !shared.timers.is_empty() {
            wiring.timed.push(shared.clone());
        }
        Shared(shared)
    }

    fn context<'a, 'c>(
        &'a self,
        ctx: &'a mut Context<'c>,
        cause: Cause,
    ) -> ProcessorContext<'a, 'c, P::KeyOut, P::ValueOut> {
        ProcessorContext {
            inner: ctx,
            outputs: &self.outputs,
            place: &self.place,
            cause,
        }
    }

    /// Names this operator in an error that its processor made outside a record.
    fn named(&self, result: Result<()>) -> Result<()> {
        result.map_err(|error| error.in_node(&self.place.name, String::new))
    }
}

/// No record: a call by the clock, or at the beginning or end.
fn no_record(timestamp: i64) -> Cause {
    Cause {
        timestamp,
        position: Position::NONE,
        headers: Headers::default(),
    }
}

impl<P: Processor> Punctuate for ProcessorNode<P> {
    fn open(&self, ctx: &mut Context<'_>, number: usize) -> Result<()> {
        self.place.number.set(number);
        for timers in &self.timers {
            timers::restore(ctx, timers.store)?;
        }
        let now = ctx.state.now_ms;
        let mut processor = self.processor.borrow_mut();
        self.named(caught(|| {
            processor.open(&mut self.context(ctx, no_record(now)))
        }))
    }

    fn punctuate(&self, ctx: &mut Context<'_>, punctuation: Punctuation) -> Result<()> {
        let time = punctuation.time;
        let outcome = caught(|| {
            let mut processor = self.processor.borrow_mut();
            let mut context = self.context(ctx, no_record(time));
            processor.punctuate(punctuation, &mut context)
        });
        self.settle(ctx, outcome, &Meta::of_call(time))?;
        self.process_waiting(ctx)
    }

    fn close(&self, ctx: &mut Context<'_>) -> Result<()> {
        let now = ctx.state.now_ms;
        let mut processor = self.processor.borrow_mut();
        self.named(caught(|| {
            processor.close(&mut self.context(ctx, no_record(now)))
        }))
    }
}

impl<P: Processor> FireTimers for ProcessorNode<P> {
    fn fire(&self, ctx: &mut Context<'_>, clock: PunctuationKind, time: i64) -> Result<u64> {
        let mut fired = 0;
        for timers in &self.timers {
            let number = timers::clock_number(clock);
            while fired < TIMERS_PER_TURN_MAX
                && time >= 0
                && ctx.state.store(timers.store).first_timers[number] <= time
            {
                for row in timers::due(ctx, timers.store, clock, time)? {
                    fired += u64::from(self.call(ctx, timers, clock, &row)?);
                }
            }
        }
        Ok(fired)
    }
}

impl<P: Processor> ProcessorNode<P> {
    /// Calls one timer, unless a call before has cancelled it.
    fn call(
        &self,
        ctx: &mut Context<'_>,
        timers: &TimersOf<P::KeyIn>,
        clock: PunctuationKind,
        row: &[u8],
    ) -> Result<bool> {
        if !ctx.holds(timers.store, row)? {
            return Ok(false);
        }
        let (key, at) = timers::parse_row(row);
        // Gone before the call, which may set it again.
        ctx.write(timers.store, row, None, at)?;
        let topic = ctx.state.store(timers.store).topic.clone();
        let key = timers.key.decode(&topic, HeadersRef::NONE, key);
        let key = key.map_err(|error| Error::format(&topic, &error))?;
        let outcome = caught(|| {
            let mut processor = self.processor.borrow_mut();
            let timer = Timer { key, at, clock };
            processor.timer(timer, &mut self.context(ctx, no_record(at)))
        });
        self.settle(ctx, outcome, &Meta::of_call(at))?;
        self.process_waiting(ctx)?;
        Ok(true)
    }

    /// What becomes of a call that the processor failed at.
    fn settle(&self, ctx: &mut Context<'_>, outcome: Result<()>, failed: &Meta) -> Result<()> {
        match outcome {
            Ok(()) => Ok(()),
            Err(error) => fail(ctx, &self.on_error, &self.place.name, error, failed),
        }
    }

    /// Processes the records that came back while the processor was in a call without a record.
    fn process_waiting(&self, ctx: &mut Context<'_>) -> Result<()> {
        loop {
            let Some(record) = self.waiting.borrow_mut().pop_front() else {
                return Ok(());
            };
            let failed = Meta::of(&record);
            let outcome = caught(|| {
                let mut processor = self.processor.borrow_mut();
                let cause = self.cause(&record);
                processor.process(record, &mut self.context(ctx, cause))
            });
            self.settle(ctx, outcome, &failed)?;
        }
    }

    fn cause(&self, record: &Record<P::KeyIn, P::ValueIn>) -> Cause {
        Cause {
            timestamp: record.timestamp,
            position: record.position,
            headers: match self.keeps_headers {
                true => record.headers.clone(),
                false => Headers::default(),
            },
        }
    }
}

/// A store of timers, with the format of their keys.
struct TimersOf<K> {
    store: usize,
    key: FormatOf<K>,
}

fn timers_of<K: 'static>(topology: &Topology, stores: &[usize]) -> Vec<TimersOf<K>> {
    let timed = stores.iter().copied();
    let timed = timed.filter(|store| timers::are_in(&topology.stores[*store]));
    let keys = timed.filter_map(|store| {
        let formats = &topology.stores[store].formats;
        let formats = formats.downcast_ref::<Formats<K, ()>>()?;
        let key = formats.key.clone()?;
        Some(TimersOf { store, key })
    });
    keys.collect()
}

/// Shares one node between the edge that feeds it and the task that punctuates it.
pub(crate) struct Shared<P: Processor>(Rc<ProcessorNode<P>>);

impl<P: Processor> ReceiveRecord<P::KeyIn, P::ValueIn> for Shared<P> {
    fn receive_record(
        &self,
        ctx: &mut Context<'_>,
        record: Record<P::KeyIn, P::ValueIn>,
    ) -> Result<()> {
        let node = &*self.0;
        let Ok(mut processor) = node.processor.try_borrow_mut() else {
            node.waiting.borrow_mut().push_back(record);
            return Ok(());
        };
        let mut next = Some(record);
        while let Some(record) = next {
            let cause = node.cause(&record);
            processor.process(record, &mut node.context(ctx, cause))?;
            next = node.waiting.borrow_mut().pop_front();
        }
        // It may have passed over an error of those it forwarded to.
        ctx.state.failed.forget();
        Ok(())
    }
}
