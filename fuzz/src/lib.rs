//! Fuzz targets: one function per decoder, run by libFuzzer and, shortly, by the tests.
