//! The inventory service: the Java test with its data, what becomes of reservations, and fault 10 of the original.
//! Invariant: reserved pieces are those of orders that are validated or still undecided.

use crate::samples::{answer, answers, delete, order, place};
use headwater::TestDriver;
use orders::inventory::{RESERVED_STOCK, inventory_service};
use orders::model::OrderState::{Failed, Validated};
use orders::model::OrderValidationType::InventoryCheck;
use orders::model::Product::{self, Jumpers, Stockings, Underpants};
use orders::topics::{ORDERS, UNREADABLE, WAREHOUSE_INVENTORY};

fn service(stock: &[(Product, i32)]) -> TestDriver {
    let mut driver = TestDriver::new(inventory_service().unwrap()).unwrap();
    for (product, pieces) in stock {
        driver
            .pipe(WAREHOUSE_INVENTORY, *product, *pieces, 1)
            .unwrap();
    }
    driver
}

#[track_caller]
fn reserved(driver: &mut TestDriver, product: Product) -> i64 {
    driver.get(RESERVED_STOCK, &product).unwrap().unwrap_or(0)
}

/// InventoryServiceTest.
#[test]
fn orders_with_sufficient_stock_pass_and_others_are_rejected() {
    let mut driver = service(&[(Underpants, 75), (Jumpers, 1)]);
    place(&mut driver, &order(0, 1, Underpants, 3, 10.0), 2);
    place(&mut driver, &order(1, 2, Jumpers, 1, 75.0), 3);
    place(&mut driver, &order(2, 2, Jumpers, 1, 75.0), 4);
    let expected = [(0, true), (1, true), (2, false)];
    let expected = expected.map(|(id, passed)| answer(id, InventoryCheck, passed));
    assert_eq!(answers(&mut driver), expected);
    let changelog =
        driver.read::<Product, i64>("InventoryService-store-of-reserved-stock-changelog");
    let changelog: Vec<_> = changelog.unwrap().into_iter().collect();
    let rows: Vec<_> = changelog
        .iter()
        .map(|(key, value, _)| (*key, *value))
        .collect();
    assert_eq!(rows, [(Underpants, Some(3)), (Jumpers, Some(1))]);
}

#[test]
fn the_stock_topic_holds_a_name_in_utf_8_and_a_big_endian_number() {
    let mut driver = TestDriver::new(inventory_service().unwrap()).unwrap();
    let row = headwater::TestRecord {
        key: Some(b"JUMPERS".to_vec()),
        value: Some(vec![0, 0, 0, 2]),
        timestamp: 1,
        headers: headwater::Headers::default(),
    };
    driver.pipe_raw(WAREHOUSE_INVENTORY, row).unwrap();
    place(&mut driver, &order(1, 1, Jumpers, 2, 1.0), 2);
    assert_eq!(answers(&mut driver), [answer(1, InventoryCheck, true)]);
    let changelog = driver.read_raw("InventoryService-store-of-reserved-stock-changelog");
    assert_eq!(changelog[0].key.as_deref(), Some(&b"JUMPERS"[..]));
    assert_eq!(
        changelog[0].value.as_deref(),
        Some(&[0, 0, 0, 0, 0, 0, 0, 2][..])
    );
}

#[test]
fn an_order_that_fails_for_another_reason_gives_its_pieces_back_once() {
    let mut driver = service(&[(Jumpers, 1)]);
    let first = order(1, 1, Jumpers, 1, 1.0);
    place(&mut driver, &first, 2);
    assert_eq!(reserved(&mut driver, Jumpers), 1);
    // The verdict comes twice.
    for timestamp in [3, 4] {
        place(&mut driver, &first.clone().with_state(Failed), timestamp);
        assert_eq!(reserved(&mut driver, Jumpers), 0);
    }
    place(&mut driver, &order(2, 1, Jumpers, 1, 1.0), 5);
    let expected = [1, 2].map(|id| answer(id, InventoryCheck, true));
    assert_eq!(answers(&mut driver), expected);
    assert_eq!(reserved(&mut driver, Jumpers), 1);
}

#[test]
fn what_was_sold_stays_taken_off_the_stock() {
    let mut driver = service(&[(Jumpers, 2)]);
    let sold = order(1, 1, Jumpers, 2, 1.0);
    place(&mut driver, &sold, 2);
    place(&mut driver, &sold.clone().with_state(Validated), 3);
    place(&mut driver, &sold.with_state(Failed), 4);
    assert_eq!(reserved(&mut driver, Jumpers), 2);
    place(&mut driver, &order(2, 1, Jumpers, 1, 1.0), 5);
    assert_eq!(answers(&mut driver)[1], answer(2, InventoryCheck, false));
}

#[test]
fn an_order_that_comes_twice_holds_its_pieces_once() {
    let mut driver = service(&[(Jumpers, 1)]);
    let order = order(1, 1, Jumpers, 1, 1.0);
    place(&mut driver, &order, 2);
    place(&mut driver, &order, 3);
    let pass = answer(1, InventoryCheck, true);
    assert_eq!(answers(&mut driver), [pass.clone(), pass]);
    assert_eq!(reserved(&mut driver, Jumpers), 1);
}

/// Fault 10: the original's inner join drops such orders, and nobody ever answers.
#[test]
fn an_order_of_a_product_that_was_never_counted_fails() {
    let mut driver = service(&[(Underpants, 20), (Jumpers, 10)]);
    place(&mut driver, &order(1, 1, Stockings, 1, 1.0), 2);
    assert_eq!(answers(&mut driver), [answer(1, InventoryCheck, false)]);
    driver
        .pipe(WAREHOUSE_INVENTORY, Stockings, 5_i32, 3)
        .unwrap();
    place(&mut driver, &order(2, 1, Stockings, 1, 1.0), 4);
    assert_eq!(answers(&mut driver), [answer(2, InventoryCheck, true)]);
}

#[test]
fn an_order_of_no_product_or_of_less_than_nothing_fails_and_takes_nothing() {
    let mut driver = service(&[(Jumpers, 10)]);
    let mut nothing = order(1, 1, Jumpers, 1, 1.0);
    nothing.product = None;
    place(&mut driver, &nothing, 2);
    place(&mut driver, &order(2, 1, Jumpers, -5, 1.0), 3);
    let expected = [1, 2].map(|id| answer(id, InventoryCheck, false));
    assert_eq!(answers(&mut driver), expected);
    assert_eq!(reserved(&mut driver, Jumpers), 0);
}

/// Fault 6: in the original a tombstone ends the stream thread.
#[test]
fn tombstones_and_unreadable_orders_stop_nothing() {
    let mut driver = service(&[(Jumpers, 10)]);
    delete(&mut driver, "1", 2);
    driver
        .pipe(ORDERS, "2".to_owned(), "no order".to_owned(), 3)
        .unwrap();
    place(&mut driver, &order(3, 1, Jumpers, 1, 1.0), 4);
    assert_eq!(answers(&mut driver), [answer(3, InventoryCheck, true)]);
    let unreadable = driver.read_raw(UNREADABLE);
    assert_eq!(unreadable.len(), 1);
    assert_eq!(unreadable[0].value.as_deref(), Some(&b"no order"[..]));
}
