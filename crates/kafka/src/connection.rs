//! One connection to one broker: framing, version negotiation, TLS, SASL, requests in order.
//! Not a choice of broker. Invariant: each request ends once, by its deadline.
