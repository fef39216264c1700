#include "bindings.hpp"

namespace nb = nanobind;

NB_MODULE(_native, module) {
    module.doc() = "CTC decoders in C++.";
    nb::exception<w2vc::decoding::Error>(module, "DecodingError", PyExc_ValueError).attr("__doc__") =
        "Input that cannot be decoded, or a file that cannot be used: one line that says what would be "
        "right.";
    w2vc::decoding::bind_language_model(module);
    w2vc::decoding::bind_decoders(module);
    w2vc::decoding::bind_alignment(module);
}
