//! How long the codecs take. `cargo bench -p sala-benches --bench codecs -- json` runs some.

use divan::Bencher;
use sala_benches::operations;

fn main() {
    divan::main();
}

fn names() -> impl Iterator<Item = &'static str> {
    operations().map(|operation| operation.name)
}

#[divan::bench(args = names(), max_time = 0.5)]
fn codec(bencher: Bencher<'_, '_>, name: &str) {
    let mut run = sala_benches::find(name)
        .expect("a name from the catalogue")
        .prepare();
    bencher.bench_local(&mut run);
}
