#include "api/guard.hpp"

#include <cstring>

namespace w2vc::api {

w2vc_status status_of(ErrorKind kind) noexcept {
    switch (kind) {
        case ErrorKind::argument:
            return W2VC_ERROR_ARGUMENT;
        case ErrorKind::audio:
            return W2VC_ERROR_AUDIO;
        case ErrorKind::bundle:
            return W2VC_ERROR_BUNDLE;
        case ErrorKind::runtime:
            return W2VC_ERROR_RUNTIME;
        case ErrorKind::inference:
            return W2VC_ERROR_INFERENCE;
    }
    return W2VC_ERROR_INTERNAL;
}

w2vc_status fail(w2vc_error* error, w2vc_status status, const char* message) noexcept {
    if (!error) return status;
    error->status = status;
    std::size_t size = std::strlen(message);
    if (size >= sizeof error->message) {
        size = sizeof error->message - 1;
        // Not within a character.
        while (size > 0 && (static_cast<unsigned char>(message[size]) & 0xC0) == 0x80) --size;
    }
    std::memcpy(error->message, message, size);
    error->message[size] = '\0';
    return status;
}

}  // namespace w2vc::api
