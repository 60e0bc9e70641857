//! Records grouped by a type of the application.
use headwater_streams::App;

#[derive(Clone)]
struct Customer(String);

fn main() {
    let app = App::new("app");
    let orders = app.stream::<String, String>("orders");
    let _grouped = orders.group_by(|_, order| Customer(order.clone()));
}
