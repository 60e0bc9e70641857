//! What the shop's topics hold: orders, the answers of the checks, payments and customers. Not their processing.
//! Invariant: every value is one JSON document with the field names of the REST interface; a product as a key is its name in
//! UTF-8, without quotes.

use headwater::{Data, Format, FormatError, FormatOf, Headers, json, log::HeadersRef};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// What the shop sells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Product {
    /// Jumpers.
    Jumpers,
    /// Underpants.
    Underpants,
    /// Stockings.
    Stockings,
}

impl Product {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Jumpers, Self::Underpants, Self::Stockings];

    /// The name, as in topics and on the interface.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jumpers => "JUMPERS",
            Self::Underpants => "UNDERPANTS",
            Self::Stockings => "STOCKINGS",
        }
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

struct ProductName;

impl Format<Product> for ProductName {
    fn encode(
        &self,
        _topic: &str,
        _headers: &mut Headers,
        product: &Product,
        bytes: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        bytes.extend_from_slice(product.name().as_bytes());
        Ok(())
    }

    fn decode(
        &self,
        _topic: &str,
        _headers: HeadersRef<'_>,
        bytes: &[u8],
    ) -> Result<Product, FormatError> {
        let found = Product::ALL.into_iter();
        let mut found = found.filter(|product| product.name().as_bytes() == bytes);
        found
            .next()
            .ok_or_else(|| FormatError(format!("no product: '{}'", String::from_utf8_lossy(bytes))))
    }
}

impl Data for Product {
    fn format() -> FormatOf<Self> {
        Arc::new(ProductName)
    }
}

/// Where an order stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum OrderState {
    /// Placed, and being checked.
    #[default]
    Created,
    /// All checks passed.
    Validated,
    /// A check failed, or did not answer in time.
    Failed,
    /// On its way.
    Shipped,
}

/// An order; the body of the REST interface and the value of topic `orders`, whose key is `id`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// The order's id.
    pub id: String,
    /// Who ordered.
    pub customer_id: i64,
    /// Where it stands.
    #[serde(default)]
    pub state: OrderState,
    /// What was ordered; the check of its details fails without.
    pub product: Option<Product>,
    /// How many.
    pub quantity: i32,
    /// The price of one.
    pub price: f64,
}

impl Order {
    /// The same order in another state.
    pub fn with_state(mut self, state: OrderState) -> Self {
        self.state = state;
        self
    }

    /// True before a verdict.
    pub fn is_created(&self) -> bool {
        self.state == OrderState::Created
    }

    /// True once the checks have come to a verdict.
    pub fn is_decided(&self) -> bool {
        !self.is_created()
    }
}

/// An order with what its customer has ordered in the same session.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderValue {
    /// The latest order; `None` before the first.
    pub order: Option<Order>,
    /// The sum of quantity times price.
    pub value: f64,
}

/// One of the three checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OrderValidationType {
    /// Is it in stock?
    InventoryCheck,
    /// Does the customer order suspiciously much?
    FraudCheck,
    /// Does the order make sense?
    OrderDetailsCheck,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum OrderValidationResult {
    /// Passed.
    Pass,
    /// Failed.
    Fail,
    /// The check could not be made; another answer may follow.
    Error,
}

/// The answer of a check; the value of topic `order-validations`, whose key is the order's id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderValidation {
    /// The order's id.
    pub order_id: String,
    /// Which check.
    pub check_type: OrderValidationType,
    /// How it ended.
    pub validation_result: OrderValidationResult,
}

impl OrderValidation {
    /// The answer of check `check_type` to an order.
    pub fn new(order_id: impl Into<String>, check_type: OrderValidationType, passed: bool) -> Self {
        let validation_result = match passed {
            true => OrderValidationResult::Pass,
            false => OrderValidationResult::Fail,
        };
        Self {
            order_id: order_id.into(),
            check_type,
            validation_result,
        }
    }
}

/// What the checks have answered to an order: of each check the last answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Checks(pub Vec<OrderValidation>);

impl Checks {
    /// With one more answer.
    pub fn with(mut self, answer: OrderValidation) -> Self {
        self.0.retain(|it| it.check_type != answer.check_type);
        self.0.push(answer);
        self
    }
}

/// A payment; the value of topic `payments`, whose key is `id`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    /// The payment's id.
    pub id: String,
    /// What was paid for.
    pub order_id: String,
    /// The currency.
    pub ccy: String,
    /// How much.
    pub amount: f64,
}

/// A customer; the value of topic `customers`, whose key is `id`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Customer {
    /// The customer's id.
    pub id: i64,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// Where mails go.
    pub email: String,
    /// Where parcels go.
    pub address: String,
    /// The level, which names the topic that enriched orders go to.
    #[serde(default = "bronze")]
    pub level: String,
}

fn bronze() -> String {
    "bronze".into()
}

/// An order with its customer's level; the value of the levels' topics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderEnriched {
    /// The order's id.
    pub id: String,
    /// Who ordered.
    pub customer_id: i64,
    /// The customer's level.
    pub customer_level: String,
}

macro_rules! as_json {
    ($($type:ty),+ $(,)?) => {
        $(impl Data for $type {
            fn format() -> FormatOf<Self> {
                json()
            }
        })+
    };
}

as_json!(
    Order,
    OrderValue,
    OrderValidation,
    Checks,
    Payment,
    Customer,
    OrderEnriched
);
