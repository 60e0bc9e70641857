//! The order details service: the two Java tests with their data, on the log in memory, and faults 6 and 11 of the original.
//! Invariant: what was answered is not answered again after a restart.

use crate::samples::{answer, answers, delete, order, place};
use headwater::{MemoryLog, Running, SourceWriter, TestDriver, log::Log, world::World};
use headwater::{Settings, committed_offsets, count_records, end_offsets};
use orders::details::{APPLICATION, order_details_service};
use orders::model::Order;
use orders::model::OrderState::{Failed, Validated};
use orders::model::OrderValidationType::OrderDetailsCheck;
use orders::model::Product::{Jumpers, Underpants};
use orders::topics::{self, ORDER_VALIDATIONS, ORDERS};
use std::sync::Arc;
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(60);

/// OrderDetailsServiceTest.shouldPassAndFailOrders.
#[test]
fn orders_that_make_sense_pass_and_others_fail() {
    let mut driver = TestDriver::new(order_details_service().unwrap()).unwrap();
    place(&mut driver, &order(0, 0, Underpants, 3, 5.0), 1);
    place(&mut driver, &order(1, 0, Jumpers, -1, 75.0), 2);
    let expected = [(0, true), (1, false)];
    let expected = expected.map(|(id, passed)| answer(id, OrderDetailsCheck, passed));
    assert_eq!(answers(&mut driver), expected);
}

#[test]
fn a_negative_price_or_no_product_fails_and_a_tombstone_stops_nothing() {
    let mut driver = TestDriver::new(order_details_service().unwrap()).unwrap();
    delete(&mut driver, "0", 1);
    place(&mut driver, &order(1, 0, Jumpers, 0, -0.01), 2);
    let mut nothing = order(2, 0, Jumpers, 1, 1.0);
    nothing.product = None;
    place(&mut driver, &nothing, 3);
    place(&mut driver, &order(3, 0, Jumpers, 0, 0.0), 4);
    let expected = [(1, false), (2, false), (3, true)];
    let expected = expected.map(|(id, passed)| answer(id, OrderDetailsCheck, passed));
    assert_eq!(answers(&mut driver), expected);
}

fn log() -> Arc<MemoryLog> {
    let log = MemoryLog::kafka_like(&World::real());
    let mut writer = writer(&*log);
    for topic in topics::all() {
        writer.ensure_topic(topic, 1).unwrap();
    }
    log
}

fn writer(log: &dyn Log) -> SourceWriter {
    SourceWriter::open(log, "test", "orders", &Settings::default()).unwrap()
}

fn send(log: &dyn Log, orders: &[Order]) {
    let mut writer = writer(log);
    for order in orders {
        writer.append(ORDERS, &order.id, order, 1).unwrap();
    }
    let position = writer.position() + orders.len() as u64;
    writer.commit(position).unwrap();
}

/// Runs the service until it has read everything, and stops it.
fn run(log: &Arc<MemoryLog>) {
    let running: Running = headwater::start(order_details_service().unwrap(), log).unwrap();
    running.caught_up(WAIT).unwrap();
    running.stop(WAIT).unwrap();
}

fn answered(log: &dyn Log) -> u64 {
    let ends = end_offsets(log, ORDER_VALIDATIONS).unwrap();
    let ranges = ends.into_iter().map(|(at, end)| (at, 0..end));
    count_records(log, ranges).unwrap()
}

/// OrderDetailsServiceTest.shouldCorrectlyProgressOffset.
#[test]
fn a_restart_answers_nothing_again() {
    let log = log();
    for id in 0..3 {
        send(&*log, &[order(id, 0, Underpants, 3, 5.0)]);
        run(&log);
        assert_eq!(answered(&*log), u64::from(id) + 1);
    }
    run(&log);
    assert_eq!(answered(&*log), 3);
}

/// Fault 11: the original commits the positions of new orders only, and reads all others again.
#[test]
fn the_position_moves_past_orders_that_need_no_answer() {
    let log = log();
    let order = order(0, 0, Underpants, 3, 5.0);
    let decided = [Validated, Failed].map(|state| order.clone().with_state(state));
    send(&*log, std::slice::from_ref(&order));
    send(&*log, &decided);
    run(&log);
    assert_eq!(answered(&*log), 1);
    let ends = end_offsets(&*log, ORDERS).unwrap();
    assert_eq!(committed_offsets(&*log, APPLICATION).unwrap(), ends);
}
