#include "sessions/library.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <mutex>

#include "support/error.hpp"

namespace w2vc::sessions {
namespace {

constexpr int kMajor = 1, kMinor = 21;  // whose header this is
constexpr const char* kVariable = "W2VC_ONNXRUNTIME";
constexpr const char* kRemedy =
    "install ONNX Runtime 1.21 or newer (the Python package onnxruntime has it in its directory capi) and "
    "name its "
    "libonnxruntime.so in W2VC_ONNXRUNTIME or the option onnxruntime";

Error unfit(const std::string& message) {
    return {ErrorKind::runtime, message};
}

std::string last_problem() {
    const char* problem = ::dlerror();
    return problem ? problem : "nobody says why";
}

void* load(const std::string& path) {
    return ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
}

// Loads the first of what may be ONNX Runtime; path becomes its name.
void* find(std::string& path) {
    const char* variable = std::getenv(kVariable);
    if (path.empty() && variable) path = variable;
    if (!path.empty()) {
        if (void* handle = load(path)) return handle;
        throw unfit("ONNX Runtime cannot be loaded from " + path + " (" + last_problem() + "); " + kRemedy);
    }
    for (const char* name : {"libonnxruntime.so.1", "libonnxruntime.so"}) {
        path = name;
        if (void* handle = load(path)) return handle;
    }
    throw unfit(
        std::string("ONNX Runtime is not found: there is no libonnxruntime.so.1 where the loader looks; ") +
        kRemedy);
}

// From version 1.29 on it reports to its makers over the network, unless told so before it is loaded.
void keep_quiet() {
    static std::once_flag once;
    std::call_once(once, [] { ::setenv("ORT_DISABLE_TELEMETRY", "1", 0); });
}

}  // namespace

std::shared_ptr<const Library> Library::open(const std::string& path) {
    keep_quiet();
    struct Opened : Library {};
    const std::shared_ptr<Library> library = std::make_shared<Opened>();
    library->path_ = path;
    void* handle = find(library->path_);
    using GetBase = const OrtApiBase*(ORT_API_CALL*)();
    const auto get_base = reinterpret_cast<GetBase>(::dlsym(handle, "OrtGetApiBase"));
    const OrtApiBase* base = get_base ? get_base() : nullptr;
    const char* version = base && base->GetVersionString ? base->GetVersionString() : nullptr;
    if (!version) throw unfit(library->path_ + " is not ONNX Runtime; " + kRemedy);
    library->version_ = version;
    library->api_ = library->at_least(kMajor, kMinor) ? base->GetApi(ORT_API_VERSION) : nullptr;
    if (!library->api_) {
        throw unfit(library->path_ + " is ONNX Runtime " + version + ", and w2vc needs 1.21 or newer; " +
                    kRemedy);
    }
    OrtEnv* environment = nullptr;
    const std::string problem =
        library->message_of(library->api_->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "w2vc", &environment));
    if (!environment) throw unfit(library->shown() + " does not start: " + problem + "; " + kRemedy);
    library->environment_.reset(environment, library->api_->ReleaseEnv);
    library->message_of(library->api_->DisableTelemetryEvents(environment));
    return library;
}

Library::Opening Library::opening(const std::string& path) {
    // Deferred where the system has no thread left.
    return std::async(std::launch::async | std::launch::deferred, open, path);
}

std::string Library::shown() const {
    return "ONNX Runtime " + version_ + " (" + path_ + ")";
}

bool Library::at_least(int major, int minor) const {
    int own_major = 0, own_minor = 0;
    if (std::sscanf(version_.c_str(), "%d.%d", &own_major, &own_minor) != 2) return false;
    return own_major > major || (own_major == major && own_minor >= minor);
}

std::vector<std::string> Library::providers() const {
    char** names = nullptr;
    int count = 0;
    std::vector<std::string> found;
    if (!message_of(api_->GetAvailableProviders(&names, &count)).empty()) return found;
    for (int index = 0; index < count; ++index) found.emplace_back(names[index]);
    message_of(api_->ReleaseAvailableProviders(names, count));
    return found;
}

std::string Library::message_of(OrtStatus* status) const {
    if (!status) return "";
    std::string message = api_->GetErrorMessage(status);
    api_->ReleaseStatus(status);
    message.resize(std::min(message.size(), message.find('\n')));
    return message.empty() ? "it does not say why" : message;
}

}  // namespace w2vc::sessions
