//! Two instances behind two ports: whichever is asked, the answer is the owner's. Not the routing without a network.
//! Invariant: an instance that is gone is an error or a wait, never an answer.

use super::client::{get, get_with};
use super::{Served, Speech, on_network};
use crate::instance::{Shop, WAIT, place, until};
use headwater_query::http::Stores;
use serde_json::json;

fn orders(stores: Stores) -> Stores {
    stores
        .show::<String, i64>("orders-store")
        .and_then(|stores| stores.show::<String, u64>("by-kind"))
        .unwrap()
}

async fn two(shop: &Shop) -> (Served, Served) {
    let first = Served::start(shop, &Speech::default(), orders).await;
    let second = Served::start(shop, &Speech::default(), orders).await;
    until("a share for each", || {
        let held = |it: &Served| it.queries.state().views().readers("orders-store").len();
        held(&first) == 2 && held(&second) == 2
    });
    (first, second)
}

#[test]
fn each_instance_answers_for_every_key_also_across_a_repartition() {
    on_network(async {
        let shop = Shop::new();
        let (first, second) = two(&shop).await;
        let token = place(&mut shop.writer("client"), "orders", 0..40);
        let header = format!("headwater-token: {token}\r\n");
        for served in [&first, &second] {
            for number in 0..40 {
                let path = format!("/stores/orders-store/order-{number}");
                let found = get_with(served.address(), &path, &header).await;
                assert_eq!((found.status, found.json()), (200, json!(number)));
            }
            for kind in 0..5 {
                let path = format!("/stores/by-kind/kind-{kind}");
                let found = get_with(served.address(), &path, &header).await;
                assert_eq!((found.status, found.json()), (200, json!(8)));
            }
            let page = get_with(served.address(), "/stores/orders-store", &header).await;
            assert_eq!(page.json()["entries"].as_array().unwrap().len(), 40);
        }
        first.stop().await;
        second.stop().await;
    });
}

#[test]
fn a_get_that_waits_at_the_wrong_instance_is_answered_and_follows_the_partition_when_its_owner_stops()
 {
    on_network(async {
        let shop = Shop::new();
        let (first, second) = two(&shop).await;
        let address = first.address();
        let waiting: Vec<_> = (0..40)
            .map(|number| {
                let path = format!("/stores/orders-store/order-{number}?wait=60000");
                tokio::spawn(async move { get(address, &path).await })
            })
            .collect();
        until("all wait, some of them at the second", || {
            let waits = |it: &Served| it.queries.state().watches().waiters();
            waits(&second) > 0 && waits(&first) + waits(&second) >= 40
        });
        second.stop().await;
        let token = place(&mut shop.writer("client"), "orders", 0..40);
        for (number, answer) in waiting.into_iter().enumerate() {
            let answer = answer.await.unwrap();
            assert_eq!((answer.status, answer.body), (200, number.to_string()));
        }
        first
            .queries
            .reached("orders-store", &token, WAIT)
            .await
            .unwrap();
        first.stop().await;
    });
}
