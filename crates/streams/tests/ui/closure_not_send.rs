//! A closure that captures what cannot go to another thread.
use headwater_streams::App;
use std::{cell::Cell, rc::Rc};

fn main() {
    let app = App::new("app");
    let seen = Rc::new(Cell::new(0));
    app.stream::<String, String>("words").peek(move |_, _| seen.set(seen.get() + 1)).to("copy");
}
