#include "support/version.hpp"

namespace w2vc {

const char* version() {
    return W2VC_VERSION;
}

}  // namespace w2vc
