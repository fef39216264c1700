#pragma once

namespace w2vc {

// The version of this library, such as 0.1.0; static.
const char* version();

}  // namespace w2vc
