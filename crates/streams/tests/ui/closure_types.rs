//! Closures that take or answer the wrong types.
use headwater_streams::App;

fn main() {
    let app = App::new("app");
    let words = app.stream::<String, String>("words");
    words.map_values(|key: &String, word: String| word);
    words.map_values(|word: u64| word + 1);
    words.filter(|_, word| word.len());
    words.group_by_key().aggregate(|| 0_u64, |_, word, _| word, "sums");
}
