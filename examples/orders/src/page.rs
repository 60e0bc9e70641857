//! The web page: one document without anything from elsewhere. Not a state of its own: it shows what the REST interface says.
//! Invariant: it is served as it was built.

use axum::http::header;
use axum::response::IntoResponse;

/// The document.
pub(crate) async fn page() -> impl IntoResponse {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:";
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, include_str!("page.html"))
}
