//! The web page in headless Chromium, at the width of a phone and of a desktop. Not its looks: those are for people's eyes.
//! Invariant: without Chromium the test says that it was skipped.

use crate::samples::order;
use crate::server::Server;
use orders::model::Product::{Jumpers, Stockings};
use orders::service::Service;
use std::process::{Command, Stdio};
use tempfile::TempDir;

#[test]
fn the_page_shows_orders_with_their_steps_and_the_stock() {
    let Some(browser) = browser() else {
        return;
    };
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir, &Service::ALL);
    server.write(&[], &[(Jumpers, 10)]);
    for (id, product) in [(1, Jumpers), (2, Stockings)] {
        server.place(&order(id, 2, product, 3, 1.5));
        server
            .get(&format!("/v1/orders/{id}/validated?timeout=60000"))
            .order();
    }
    for width in [390, 1280] {
        let dom = dom(browser, server.port, width);
        for expected in [
            "<span id=\"live\" role=\"status\" class=\"on\">live</span>",
            "<b class=\"\">3 × Jumpers</b>",
            "<span class=\"\">4.50 by customer 2</span>",
            "<div class=\"step green\">validated</div>",
            "<b class=\"\">3 × Stockings</b>",
            "<div class=\"step red\">stock</div>",
            "<div class=\"step red\">failed</div>",
            "aria-label=\"pieces of Underpants\"",
        ] {
            let bare = |text: &str| text.replace(" class=\"\"", "");
            assert!(
                bare(&dom).contains(&bare(expected)),
                "{expected} at {width} px in {dom}"
            );
        }
    }
    server.stop();
}

#[test]
fn stock_is_counted_and_an_order_placed_by_clicks() {
    let Some(browser) = browser() else {
        return;
    };
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir, &Service::ALL);
    let dom = chromium(browser, server.port, "used", 390, "--dump-dom");
    for expected in [
        "<div class=\"step green\">validated</div>",
        "2 × Jumpers",
        "19.00 by customer 3",
    ] {
        assert!(dom.contains(expected), "{expected} in {dom}");
    }
    let stock = server.get("/v1/inventory").body;
    assert!(
        stock.contains(r#""product":"JUMPERS","quantity":5"#),
        "{stock}"
    );
    assert_eq!(server.records(orders::topics::ORDER_REQUESTS), 1);
    server.stop();
}

/// Chromium, as Debian or as others name it. On a machine without one the test is skipped, which CI does not take.
fn browser() -> Option<&'static str> {
    let runs = |name: &&str| Command::new(name).arg("--version").output().is_ok();
    let found = ["chromium-headless-shell", "chromium"]
        .into_iter()
        .find(runs);
    if found.is_none() {
        let skipped = "SKIPPED: no chromium on this machine, the page was NOT tested in a browser";
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "{skipped}"
        );
        eprintln!("{skipped}");
    }
    found
}

/// The document after its scripts have run; a picture of it lies in the target directory.
fn dom(browser: &str, port: u16, width: u32) -> String {
    let picture = format!(
        "--screenshot={}/orders-{width}.png",
        env!("CARGO_TARGET_TMPDIR")
    );
    chromium(browser, port, "held", width, &picture);
    chromium(browser, port, "held", width, "--dump-dom")
}

fn chromium(browser: &str, port: u16, page: &str, width: u32, what: &str) -> String {
    let profile = TempDir::new().unwrap();
    let output = Command::new(browser)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            what,
        ])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--window-size={width},1000"))
        .arg(format!("http://127.0.0.1:{port}/{page}"))
        .stderr(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}
