// ONNX files, read for what they name.
#include "bundle/onnx_file.hpp"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    try {
        w2vc::bundle::references_in({reinterpret_cast<const char*>(data), size});
    } catch (const w2vc::bundle::OnnxFileError& error) {
        if (!*error.what()) __builtin_trap();
    }
    return 0;
}
