#include "bindings.hpp"

namespace w2vc::decoding {

void bind_alignment(nanobind::module_&) {}

}  // namespace w2vc::decoding
