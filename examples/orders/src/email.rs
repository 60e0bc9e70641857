//! The email service: a mail for each payment of a new order, and every order with its customer's level to that level's topic.
//! Not a mail server: the caller says how a mail is sent.
//! Invariant: what is written to topics is exactly once; a mail may be sent again when the service is killed between it and
//! the next commit, as with every effect outside the log.

use crate::model::{Customer, Order, OrderEnriched, Payment};
use crate::topics::{self, LEVELS, ORDERS_ENRICHED};
use headwater::prelude::*;
use std::time::Duration;

/// The `application.id`.
pub const APPLICATION: &str = "EmailService";
/// An order and its payment are at most so far apart.
const PAYMENT_WINDOW: Duration = Duration::from_secs(60);

/// What a mail is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Email {
    /// The order.
    pub order: Order,
    /// Its payment.
    pub payment: Payment,
    /// Who ordered.
    pub customer: Customer,
}

/// Orders, payments and customers in; mails through `send`, enriched orders out.
pub fn email_service(send: impl Fn(&Email) + Send + Sync + 'static) -> Result<Topology> {
    let app = App::new(APPLICATION);
    let orders = app.stream(topics::orders());
    let payments = app
        .stream(topics::payments())
        .select_key(|_, payment| payment.order_id.clone());
    // Every instance keeps all customers, so that orders need not be partitioned like them.
    let customers = app.global_table(topics::customers());
    topics::created(orders)
        .join(payments.within(PAYMENT_WINDOW), |order, payment| {
            (order.clone(), payment.clone())
        })
        .join(
            customers.by(|_, (order, _): &(Order, Payment)| order.customer_id),
            |(order, payment), customer| Email {
                order: order.clone(),
                payment: payment.clone(),
                customer: customer.clone(),
            },
        )
        .for_each(move |_, email| send(email));
    let to_level = Topic::chosen_by(|_: &String, order: Option<&OrderEnriched>| level_topic(order))
        .described_as("customerLevel")
        .keys(String::format())
        .values(OrderEnriched::format());
    orders
        .join(
            customers.by(|_, order: &Order| order.customer_id),
            |order, customer| OrderEnriched {
                id: order.id.clone(),
                customer_id: order.customer_id,
                customer_level: customer.level.clone(),
            },
        )
        .to(to_level);
    app.build()
}

/// A level that nobody has heard of has no topic.
fn level_topic(order: Option<&OrderEnriched>) -> String {
    let level = order.map_or("", |order| order.customer_level.as_str());
    let known = LEVELS.iter().find(|known| **known == level);
    known.map_or(ORDERS_ENRICHED, |known| known).to_owned()
}
