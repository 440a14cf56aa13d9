//! The documented example, as a customer would try it.

use serde_json::json;

use crate::harness::shop::{Shop, ShopOptions};

#[test]
fn a_customer_searches_looks_up_and_buys_until_out_of_stock() {
    let shop = Shop::started(ShopOptions::default());
    let found = |text: &str| -> Vec<u64> {
        let list = shop.front_end().get(&format!("/search/{text}")).json();
        list.as_array()
            .unwrap()
            .iter()
            .map(|book| book["id"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(found("t"), [1, 2, 3, 4, 5, 6]);
    assert_eq!(found("distributed"), [1, 2]);
    assert_eq!(
        shop.lookup(2),
        json!({"price": 50.0, "quantity": 5, "title": "RPCs for Dummies"})
    );

    let purchased = json!({"message": "Book with the specified ID purchased", "success": true});
    for left in (0..5).rev() {
        assert_eq!(shop.buy(2).json(), purchased);
        assert_eq!(shop.quantity(2), left);
    }
    let gone = json!({"message": "Book with the specified ID is out of stock", "success": false});
    assert_eq!((shop.buy(2).status, shop.buy(2).json()), (200, gone));
    assert_eq!(shop.quantity(2), 0);

    assert_eq!(shop.front_end().get("/lookup/RPCs").status, 422);
    assert_eq!(shop.front_end().get("/lookup/8").status, 404);
    assert_eq!(shop.buy(8).status, 404);
}

#[test]
fn a_shop_may_have_one_server_of_each_kind_or_many() {
    for (catalogs, orders, front_ends) in [(1, 1, 1), (3, 4, 2)] {
        let shop = Shop::started(ShopOptions {
            catalogs,
            orders,
            front_ends,
            ..ShopOptions::default()
        });
        for n in 1..=front_ends {
            let path = "/buy/3";
            assert!(shop.front_end_number(n).put(path, "").is_purchase());
        }
        let left = 10 - front_ends as u64;
        assert_eq!(shop.quantity(3), left);
        assert_eq!(shop.quantities(3), vec![left; catalogs]);
    }
}
