//! All instances of a place's shop as one: placed at one after the other, asked at every one. Not a test.
//! Invariant: an answer counts only if every instance gives its status.

use crate::place::Place;
use crate::server::{Answer, Server};
use orders::model::{Order, Product};
use orders::service::Service;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) struct Shops {
    pub(crate) servers: Vec<Server>,
    turn: AtomicUsize,
}

impl Shops {
    /// As many instances of these services as the place has.
    pub(crate) fn open(place: &Place, services: &[Service]) -> Self {
        let start = |number: usize| {
            let state = place.dir.path().join(format!("state-{number}"));
            Server::instance(place.log(), Some(state), services)
        };
        Self {
            servers: (0..place.instances).map(start).collect(),
            turn: AtomicUsize::new(0),
        }
    }

    /// All of them, another one first each time.
    fn in_turn(&self) -> impl Iterator<Item = &Server> {
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % self.servers.len();
        self.servers[first..].iter().chain(&self.servers[..first])
    }

    #[track_caller]
    fn ask_all(&self, ask: impl Fn(&Server) -> Answer) -> Answer {
        let answers: Vec<_> = self.in_turn().map(ask).collect();
        let agree = answers.iter().all(|it| it.status == answers[0].status);
        assert!(agree, "{answers:?}");
        answers.into_iter().next_back().unwrap()
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.ask_all(|server| server.get(path))
    }

    #[track_caller]
    pub(crate) fn get_after(&self, path: &str, token: &str) -> Answer {
        self.ask_all(|server| server.get_after(path, token))
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        self.one().post(path, body)
    }

    #[track_caller]
    pub(crate) fn place(&self, order: &Order) -> Answer {
        self.one().place(order)
    }

    /// The next in turn.
    pub(crate) fn one(&self) -> &Server {
        self.in_turn().next().unwrap()
    }

    pub(crate) fn write(&self, orders: &[Order], stock: &[(Product, i32)]) {
        self.one().write(orders, stock);
    }

    pub(crate) fn records(&self, topic: &str) -> u64 {
        self.one().records(topic)
    }

    /// Requests that wait at any instance.
    pub(crate) fn waiting(&self) -> usize {
        self.servers.iter().map(|it| it.shop.waiting()).sum()
    }

    pub(crate) fn stop(self) {
        for server in self.servers {
            server.stop();
        }
    }
}
