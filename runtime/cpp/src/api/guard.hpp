// Where exceptions stop.
#pragma once

#include <w2vc/w2vc.h>

#include <exception>
#include <new>

#include "decoding/decoder.hpp"
#include "support/error.hpp"

namespace w2vc::api {

w2vc_status status_of(ErrorKind kind) noexcept;

// Fills an error that may be null; returns its status.
w2vc_status fail(w2vc_error* error, w2vc_status status, const char* message) noexcept;

// Throws Error (argument) that a pointer is null. what: its name; wanted: what it must be.
template <typename T>
T* given(T* pointer, const char* what, const char* wanted) {
    if (!pointer) throw Error(ErrorKind::argument, std::string(what) + " is NULL; expected " + wanted);
    return pointer;
}

// Runs what may throw. decoding: the status of errors of the decoders.
template <typename Work>
w2vc_status guarded(w2vc_error* error, w2vc_status decoding, const Work& work) noexcept {
    try {
        work();
        if (error) fail(error, W2VC_OK, "");
        return W2VC_OK;
    } catch (const Error& problem) {
        return fail(error, status_of(problem.kind()), problem.what());
    } catch (const decoding::Error& problem) {
        return fail(error, decoding, problem.what());
    } catch (const std::bad_alloc&) {
        return fail(error, W2VC_ERROR_MEMORY, "there is not enough memory; free some, or take shorter clips");
    } catch (const std::exception& problem) {
        return fail(error, W2VC_ERROR_INTERNAL, problem.what());
    } catch (...) {
        return fail(error, W2VC_ERROR_INTERNAL, "an unknown error of w2vc; please report it");
    }
}

}  // namespace w2vc::api
