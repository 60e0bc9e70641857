//! The background thread of one client: takes commands, runs the writer, the fetcher, the member and questions side by side.
//! Not shared between clients. Invariant: the thread ends when its client is dropped, and its client hears when it ends early.

mod beat;
mod early;
mod lookout;
mod topics;

use super::{
    shared::{Command, Shared},
    writer::{Badge, Incarnation, Names, Writer},
};
use crate::{admin, cluster::Cluster, fetcher::Fetcher, settings::Settings, watch::Watches};
use beat::Beat;
use headwater_log::{ClientOptions, Error, Request, Result, Ticket};
use lookout::Lookout;
use std::{rc::Rc, sync::Arc};
use tokio::task::{LocalSet, spawn_local};
use topics::Topics;

/// Starts the thread.
pub(super) fn start(
    settings: Settings,
    options: ClientOptions,
    shared: Arc<Shared>,
    watches: Watches,
) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| Error::io("the network", "starting its event loop", &error))?;
    let name = format!("kafka {}", options.client_id);
    let run = move || {
        let _end = EndOnDrop(Arc::clone(&shared));
        LocalSet::new().block_on(&runtime, serve(settings, options, shared, watches));
    };
    match std::thread::Builder::new().name(name).spawn(run) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::io("the network", "starting its thread", &error)),
    }
}

/// Says that the thread has ended, also when it panicked.
struct EndOnDrop(Arc<Shared>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        let reason = match std::thread::panicking() {
            true => "the client's network thread failed: open a new client",
            false => "the client was dropped",
        };
        self.0.over(reason.into());
    }
}

/// What the commands work on.
struct Thread {
    cluster: Rc<Cluster>,
    shared: Arc<Shared>,
    settings: Rc<Settings>,
    names: Names,
    writer: Rc<Writer>,
    fetcher: Rc<Fetcher>,
    topics: Rc<Topics>,
    beat: Rc<Beat>,
}

async fn serve(settings: Settings, options: ClientOptions, shared: Arc<Shared>, watches: Watches) {
    let settings = Rc::new(settings);
    let cluster = Cluster::new(Rc::clone(&settings), &options.client_id);
    let names = Names::default();
    let incarnation = Incarnation::default();
    let lookout = Lookout::new(watches, &settings, options.guarantee);
    let beat = Beat::new(&cluster, &shared, &settings, lookout, &incarnation);
    let badge = (badge(&beat), incarnation);
    let writer = Writer::new(
        &cluster,
        &shared,
        &settings,
        &options,
        Rc::clone(&names),
        badge,
    );
    let fetcher = Fetcher::new(&cluster, &shared, &settings, &options);
    let topics = Topics::new(&cluster, &shared, &settings);
    spawn_local(Rc::clone(&writer).run());
    spawn_local(Rc::clone(&fetcher).run());
    spawn_local(Rc::clone(&topics).run());
    spawn_local(Rc::clone(&beat).run());
    let thread = Thread {
        cluster,
        shared,
        settings,
        names,
        writer,
        fetcher,
        topics,
        beat,
    };
    while let Some(commands) = thread.shared.commands().await {
        for command in commands {
            thread.run(command);
        }
    }
    thread.beat.end().await;
}

/// How commits name the member.
fn badge(beat: &Rc<Beat>) -> Badge {
    let beat = Rc::clone(beat);
    Box::new(move |commit| beat.translate(commit))
}

impl Thread {
    fn run(&self, command: Command) {
        match command {
            Command::Name(name) => self.names.borrow_mut().push(name),
            Command::Write(generation, write) => self.writer.push(generation, write),
            Command::Ask(ticket, request) => self.ask(ticket, request),
            Command::Read {
                slot,
                position,
                leader_epoch,
                generation,
            } => {
                let name = self.names.borrow()[slot.0 as usize].clone();
                let at = (position, leader_epoch);
                self.fetcher.read(slot, &name, at, generation);
            }
            Command::StopReading(slot) => self.fetcher.stop(slot),
            Command::Watch(topic) => self.topics.watch(topic),
            Command::Join(membership) => self.beat.join(membership),
            Command::Own {
                lists,
                active,
                standby,
            } => self.beat.own(lists, &active, &standby),
            Command::Leave => self.beat.leave(),
            Command::End => self.beat.end_membership(),
            Command::StopGroup => self.beat.stop_group(),
            Command::MemberFenced => {
                let (replaced, incarnation) = (self.writer.is_fenced(), self.writer.fenced_as());
                self.beat.fenced(replaced, incarnation);
            }
        }
    }

    fn ask(&self, ticket: Ticket, request: Request) {
        let (cluster, settings) = (Rc::clone(&self.cluster), Rc::clone(&self.settings));
        let (writer, topics) = (Rc::clone(&self.writer), Rc::clone(&self.topics));
        let shared = Arc::clone(&self.shared);
        spawn_local(async move {
            // A former owner's open transaction holds offsets back until the id is taken.
            if let Request::CommittedOffsets { group, partitions } = &request {
                writer.wait_until_open().await;
                let own = writer.committed.borrow().get(group).cloned();
                if let (None, Some(own)) = (partitions, own) {
                    let named = Request::CommittedOffsets {
                        group: Arc::clone(group),
                        partitions: Some(own.into_iter().collect()),
                    };
                    // What counts is that they are stable from here on.
                    drop(admin::ask(&cluster, &settings, named).await);
                }
            }
            let changes = changes_topics(&request);
            let result = admin::ask(&cluster, &settings, request).await;
            if changes {
                topics.changed();
            }
            shared.complete(ticket, result);
        });
    }
}

fn changes_topics(request: &Request) -> bool {
    matches!(
        request,
        Request::CreateTopics(_) | Request::DeleteTopics(_) | Request::CreatePartitions { .. }
    )
}
