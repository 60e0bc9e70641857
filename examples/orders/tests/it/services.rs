//! The Java tests of the single services once more, with the same data, as services that run on a log: on the embedded log one
//! instance of each, on Kafka two that share the partitions. Their rules are tested in the services' own files, on the driver.
//! Invariant: orders are placed one after the other, so that partitions read side by side cannot change an answer.

use crate::place::{Place, everywhere, until};
use crate::samples::{answer, order};
use headwater::log::{Log, TopicPartition};
use headwater::{App, Data, Running, Settings, SourceWriter, Topic, Topology, committed_offsets};
use orders::details::{self, order_details_service};
use orders::email::{Email, email_service};
use orders::fraud::fraud_service;
use orders::inventory::inventory_service;
use orders::model::OrderState::{Failed, Validated};
use orders::model::OrderValidationType::{FraudCheck, InventoryCheck, OrderDetailsCheck};
use orders::model::Product::{self, Jumpers, Underpants};
use orders::model::{Customer, Order, OrderValidation, Payment};
use orders::topics::{CUSTOMERS, ORDER_VALIDATIONS, ORDERS, PAYMENTS, WAREHOUSE_INVENTORY};
use orders::validations::{ORDER_TIMEOUT, validations_aggregator_service};
use std::hash::Hash;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(90);

/// The instances of one service, and who reads what they write.
struct Fleet<'a> {
    place: &'a Place,
    log: Arc<dyn Log>,
    running: Vec<Running>,
}

/// The partition of a record, and one past its offset.
type Written = (TopicPartition, i64);

/// Records of a topic, as they come.
type Heard<K, V> = Arc<Mutex<Vec<(K, V)>>>;

impl<'a> Fleet<'a> {
    fn idle(place: &'a Place) -> Self {
        Self {
            place,
            log: place.log(),
            running: Vec::new(),
        }
    }

    fn start(place: &'a Place, service: impl Fn() -> headwater::Result<Topology>) -> Self {
        let mut fleet = Self::idle(place);
        for _ in 0..place.instances {
            fleet.run(service().unwrap());
        }
        fleet
    }

    fn run(&mut self, topology: Topology) {
        let settings = Settings {
            commit_interval_ms: 5,
            ..Settings::default()
        };
        let running = headwater::start_with(topology, self.place.log(), settings);
        self.running.push(running.unwrap());
    }

    /// Reads a topic from its beginning.
    fn hear<K, V>(&mut self, topic: &str) -> Heard<K, V>
    where
        K: Data + Clone + Eq + Hash + Send,
        V: Data + Clone + Send,
    {
        let heard = Heard::default();
        let told = heard.clone();
        let app = App::new(format!("hear-{topic}"));
        app.stream(Topic::<K, V>::from(topic))
            .for_each(move |key, value| {
                let mut heard = told.lock().unwrap();
                heard.push((key.clone(), value.clone()));
            });
        self.run(app.build().unwrap());
        heard
    }

    /// Writes a record; where it is: one past its offset.
    fn send<K: Data, V: Data>(&self, topic: &str, key: &K, value: &V, timestamp: i64) -> Written {
        let settings = Settings::default();
        let mut writer = SourceWriter::open(&*self.log, "test", topic, &settings).unwrap();
        writer.append(topic, key, value, timestamp).unwrap();
        writer.commit(writer.position() + 1).unwrap();
        let mut ends = writer.receipt().ends.iter();
        ends.find(|(at, _)| &*at.topic == topic).unwrap().clone()
    }

    /// Waits until an application has read these records. What follows them, such as the end of their transaction, it may or may
    /// not have passed.
    fn wait_until_read(&self, application: &str, written: &[Written]) {
        until(WAIT, || {
            let read = committed_offsets(&*self.log, application).unwrap();
            let is_read = |(at, end): &Written| read.iter().any(|it| it.0 == *at && it.1 >= *end);
            written.iter().all(is_read)
        });
    }

    /// Places each order when the one before has its answer; the answers.
    fn answers(&mut self, orders: &[Order]) -> Vec<OrderValidation> {
        let heard = self.hear::<String, OrderValidation>(ORDER_VALIDATIONS);
        for (at, order) in orders.iter().enumerate() {
            self.send(ORDERS, &order.id, order, 1_000 + at as i64);
            wait(&heard, at + 1);
        }
        let heard = heard.lock().unwrap();
        heard.iter().map(|(_, answer)| answer.clone()).collect()
    }

    fn stop(self) {
        for running in self.running {
            running.stop(WAIT).unwrap();
        }
    }
}

#[track_caller]
fn wait<K, V>(heard: &Heard<K, V>, records: usize) {
    until(WAIT, || heard.lock().unwrap().len() >= records);
}

/// InventoryServiceTest.
#[test]
fn orders_with_sufficient_stock_pass_on_a_log_and_the_changelog_has_what_is_reserved() {
    everywhere(|place| {
        let mut fleet = Fleet::start(place, inventory_service);
        let stock = [(Underpants, 75), (Jumpers, 1)]
            .map(|(product, pieces)| fleet.send(WAREHOUSE_INVENTORY, &product, &pieces, 1));
        // Read before the first order is, so that no order can overtake its stock.
        fleet.wait_until_read("InventoryService", &stock);
        let answers = fleet.answers(&[
            order(0, 1, Underpants, 3, 10.0),
            order(1, 2, Jumpers, 1, 75.0),
            order(2, 2, Jumpers, 1, 75.0),
        ]);
        let expected = [(0, true), (1, true), (2, false)];
        let expected = expected.map(|(id, passed)| answer(id, InventoryCheck, passed));
        assert_eq!(answers, expected);
        let changelog = "InventoryService-store-of-reserved-stock-changelog";
        let reserved = fleet.hear::<Product, i64>(changelog);
        wait(&reserved, 2);
        fleet.stop();
        let mut reserved = reserved.lock().unwrap().clone();
        reserved.sort_by_key(|(_, pieces)| *pieces);
        assert_eq!(reserved, [(Jumpers, 1), (Underpants, 3)]);
    });
}

/// FraudServiceTest.
#[test]
fn orders_above_the_limit_within_a_session_fail_on_a_log() {
    everywhere(|place| {
        let mut fleet = Fleet::start(place, fraud_service);
        let answers = fleet.answers(&[
            order(0, 0, Underpants, 3, 5.0),
            order(1, 0, Jumpers, 1, 75.0),
            order(2, 1, Jumpers, 1, 75.0),
            order(3, 1, Jumpers, 1, 75.0),
            order(4, 1, Jumpers, 50, 75.0),
            order(5, 2, Underpants, 10, 100.0),
            order(6, 2, Underpants, 10, 100.0),
            order(7, 2, Underpants, 1, 5.0),
        ]);
        fleet.stop();
        let passed = [true, true, true, true, false, true, false, false];
        let expected = (0..).zip(passed);
        let expected: Vec<_> = expected
            .map(|(id, passed)| answer(id, FraudCheck, passed))
            .collect();
        assert_eq!(answers, expected);
    });
}

/// OrderDetailsServiceTest, both tests: the service starts again before each order and answers none twice. With it fault 11:
/// verdicts, which need no answer, are behind the position too.
#[test]
fn orders_that_make_sense_pass_on_a_log_and_a_restart_answers_nothing_again() {
    everywhere(|place| {
        let mut idle = Fleet::idle(place);
        let heard = idle.hear::<String, OrderValidation>(ORDER_VALIDATIONS);
        let orders = [
            order(0, 0, Underpants, 3, 5.0),
            order(1, 0, Jumpers, -1, 75.0),
            order(2, 0, Underpants, 3, 5.0),
        ];
        for (at, order) in orders.iter().enumerate() {
            let fleet = Fleet::start(place, order_details_service);
            fleet.send(ORDERS, &order.id, order, 1_000);
            let verdict = order.clone().with_state(Validated);
            let verdict = fleet.send(ORDERS, &order.id, &verdict, 1_001);
            wait(&heard, at + 1);
            fleet.wait_until_read(details::APPLICATION, &[verdict]);
            fleet.stop();
        }
        idle.stop();
        let expected = [(0, true), (1, false), (2, true)];
        let expected = expected.map(|(id, passed)| answer(id, OrderDetailsCheck, passed));
        let heard = heard.lock().unwrap();
        let answers: Vec<_> = heard.iter().map(|(_, answer)| answer.clone()).collect();
        assert_eq!(answers, expected);
    });
}

/// ValidationsAggregatorServiceTest: two orders and six answers make four records of topic `orders`.
#[test]
fn three_passes_validate_an_order_and_one_failure_fails_it_on_a_log() {
    everywhere(|place| {
        let service = || validations_aggregator_service(ORDER_TIMEOUT);
        let mut fleet = Fleet::start(place, service);
        let first = order(0, 0, Underpants, 3, 5.0);
        let second = order(1, 0, Jumpers, 1, 75.0);
        for order in [&first, &second] {
            fleet.send(ORDERS, &order.id, order, 1);
        }
        for (id, check, passed) in [
            (0, FraudCheck, true),
            (0, OrderDetailsCheck, true),
            (0, InventoryCheck, true),
            (1, FraudCheck, true),
            (1, OrderDetailsCheck, false),
            (1, InventoryCheck, true),
        ] {
            let answer = answer(id, check, passed);
            fleet.send(ORDER_VALIDATIONS, &answer.order_id, &answer, 10);
        }
        let heard = fleet.hear::<String, Order>(ORDERS);
        wait(&heard, 4);
        fleet.stop();
        let heard = heard.lock().unwrap();
        assert_eq!(heard.len(), 4, "{heard:?}");
        for verdict in [first.with_state(Validated), second.with_state(Failed)] {
            assert!(heard.iter().any(|(_, order)| *order == verdict));
        }
    });
}

/// EmailServiceTest.
#[test]
fn a_mail_holds_the_order_its_payment_and_the_customer_on_a_log() {
    everywhere(|place| {
        let sent = Arc::new(Mutex::new(Vec::<Email>::new()));
        let order = order(0, 15, Underpants, 3, 5.0);
        let customer = Customer {
            id: 15,
            first_name: "Franz".into(),
            last_name: "Kafka".into(),
            email: "frans@thedarkside.net".into(),
            address: "oppression street, prague, cze".into(),
            level: "gold".into(),
        };
        let payment = Payment {
            id: "Payment:1234".into(),
            order_id: "0".into(),
            ccy: "CZK".into(),
            amount: 1000.0,
        };
        // Customers are a global table: it is full before the service begins.
        Fleet::idle(place).send(CUSTOMERS, &customer.id, &customer, 0);
        let service = || {
            let outbox = sent.clone();
            email_service(move |email| outbox.lock().unwrap().push(email.clone()))
        };
        let fleet = Fleet::start(place, service);
        fleet.send(ORDERS, &order.id, &order, 1);
        fleet.send(PAYMENTS, &payment.id, &payment, 2);
        until(WAIT, || !sent.lock().unwrap().is_empty());
        fleet.stop();
        let expected = Email {
            order,
            payment,
            customer,
        };
        assert_eq!(*sent.lock().unwrap(), [expected]);
    });
}
