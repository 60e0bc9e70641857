//! Secrets and certificates on the public side and between instances. Not the authorisation of users.
//! Invariant: without the secret or the certificate nothing of a store is told, and no message repeats a secret.

use super::client::{get, get_with, say};
use super::{Served, Speech, on_network};
use crate::instance::{Shop, place, until};
use headwater_query::http::{Bearer, ClientTls, Remote, ServerTls, Stores};
use headwater_query::{Read, Table};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::sync::Arc;

const PUBLIC: &str = "public-secret-of-the-test";
const INTERNAL: &str = "secret-between-instances";

fn orders(stores: Stores) -> Stores {
    stores.show::<String, i64>("orders-store").unwrap()
}

#[test]
fn without_the_secret_nothing_is_told() {
    on_network(async {
        let shop = Shop::new();
        let speech = Speech {
            public: Some(Bearer::new(PUBLIC).unwrap()),
            instances: Some(Bearer::new(INTERNAL).unwrap()),
            ..Speech::default()
        };
        let served = Served::start(&shop, &speech, orders).await;
        let token = place(&mut shop.writer("client"), "orders", 0..5);
        let path = format!("/stores/orders-store/order-1?token={token}");
        let none = get(served.address(), &path).await;
        assert_eq!(none.status, 401, "{none:?}");
        assert!(none.head.contains("www-authenticate: bearer"));
        for wrong in [INTERNAL, "", "public-secret-of-the-tesT"] {
            let header = format!("Authorization: Bearer {wrong}\r\n");
            let refused = get_with(served.address(), &path, &header).await;
            assert_eq!(refused.status, 401, "{wrong}");
            assert!(!refused.body.contains("secret-of"), "{refused:?}");
        }
        let header = format!("Authorization: Bearer {PUBLIC}\r\n");
        assert_eq!(get_with(served.address(), &path, &header).await.status, 200);
        let internal = "POST /internal/v1/ask HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n";
        let refused = say(served.address(), &format!("{internal}{header}\r\n{{}}")).await;
        assert_eq!(refused.unwrap().status, 401, "another secret");
        assert_eq!(get(served.address(), "/health").await.status, 200);
        served.stop().await;
    });
    assert!(Bearer::new("short").is_err());
    assert_eq!(format!("{:?}", Bearer::new(PUBLIC)), "Ok(Bearer(..))");
}

#[test]
fn instances_ask_each_other_with_certificates_and_nobody_else_can() {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let chain = params.signed_by(&key, &authority).unwrap().pem();
    let (roots, key) = (authority.pem(), key.serialize_pem());
    on_network(async {
        let shop = Shop::new();
        let trusted = ClientTls::new(&roots, Some((&chain, &key))).unwrap();
        let speech = Speech {
            tls: Some(ServerTls::mutual(&chain, &key, &roots).unwrap()),
            peer: Arc::new(Remote::new(None, Some(trusted))),
            ..Speech::default()
        };
        let first = Served::start(&shop, &speech, orders).await;
        let second = Served::start(&shop, &speech, orders).await;
        until("a share for each", || {
            let held = |it: &Served| it.queries.state().views().readers("orders-store").len();
            held(&first) == 2 && held(&second) == 2
        });
        let token = place(&mut shop.writer("client"), "orders", 0..20);
        for served in [&first, &second] {
            let table: Table<String, i64> = served.queries.store("orders-store").unwrap();
            for number in 0..20 {
                let read = Read::new().after(token.clone());
                let found = table.get(&format!("order-{number}"), read).await;
                assert_eq!(found.unwrap(), Some(number));
            }
        }
        // Without TLS, and with it but without a certificate.
        let plain = say(first.address(), "GET /stores HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(plain.is_none_or(|answer| answer.status != 200));
        let anonymous = Remote::new(None, Some(ClientTls::new(&roots, None).unwrap()));
        let queries = headwater_query::Queries::new(&first.running, Arc::new(anonymous));
        let table: Table<String, i64> = queries.store("orders-store").unwrap();
        let mut refused = 0;
        for number in 0..20 {
            let read = Read::new().within(std::time::Duration::from_millis(200));
            let found = table.get(&format!("order-{number}"), read).await;
            refused += usize::from(found.is_err());
        }
        assert!(refused > 0, "those of the second instance");
        first.stop().await;
        second.stop().await;
    });
}
