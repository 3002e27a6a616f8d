//! The pages of `docs/guide`, whose Rust is compiled and run by the documentation tests.

macro_rules! pages {
    ($($(#[$when:meta])? $name:ident $file:literal;)*) => {$(
        $(#[$when])?
        #[doc = include_str!(concat!("../../../docs/guide/", $file))]
        mod $name {}
    )*};
}

pages! {
    index "index.md";
    socket "socket.md";
    events "events.md";
    acks "acks.md";
    rooms "rooms.md";
    broadcasting "broadcasting.md";
    emit_cheatsheet "emit-cheatsheet.md";
    namespaces "namespaces.md";
    middlewares "middlewares.md";
    recovery "recovery.md";
    cluster "cluster.md";
    options "options.md";
    deploying "deploying.md";
    #[cfg(target_os = "linux")]
    processes "processes.md";
}
