#include "sessions/onnx_runtime.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>

#include "support/error.hpp"
#include "support/text.hpp"

namespace w2vc::sessions {
namespace {

// Values of one clip's input, 25 s of samples at 16 kHz, from where on giving memory back costs no time to
// speak of.
constexpr std::int64_t kLongClip = 400'000;
constexpr std::array kCudaKeys = {"arena_extend_strategy", "cudnn_conv_algo_search",
                                  "cudnn_conv1d_pad_to_nc1d", "use_tf32"};
constexpr std::array kCudaValues = {"kSameAsRequested", "HEURISTIC", "1", "0"};

std::int64_t volume(const std::vector<std::int64_t>& shape, std::size_t from = 0) {
    return std::accumulate(shape.begin() + static_cast<std::ptrdiff_t>(from), shape.end(), std::int64_t{1},
                           std::multiplies<>());
}

std::string shown(const std::vector<std::int64_t>& shape) {
    std::vector<std::string> parts;
    for (const std::int64_t size : shape) parts.push_back(std::to_string(size));
    return "[" + text::join(parts, ", ") + "]";
}

// As numpy calls them.
std::string name_of(ONNXTensorElementDataType type) {
    switch (type) {
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT:
            return "float32";
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT16:
            return "float16";
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_BFLOAT16:
            return "bfloat16";
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE:
            return "float64";
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64:
            return "int64";
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32:
            return "int32";
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL:
            return "bool";
        case ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING:
            return "object";
        default:
            return "ONNX type " + std::to_string(static_cast<int>(type));
    }
}

class OnnxRuntimeSession final : public Session {
  public:
    OnnxRuntimeSession(std::shared_ptr<const Library> library, const std::string& path,
                       const OnnxRuntimeOptions& options)
        : library_(std::move(library)),
          api_(library_->api()),
          provider_(options.provider),
          memory_(api_.ReleaseMemoryInfo),
          session_(api_.ReleaseSession),
          short_(api_.ReleaseRunOptions),
          long_(api_.ReleaseRunOptions) {
        Released<OrtSessionOptions> settings(api_.ReleaseSessionOptions);
        start(api_.CreateSessionOptions(settings.out()));
        start(api_.SetSessionLogSeverityLevel(settings.get(), ORT_LOGGING_LEVEL_FATAL));
        if (options.threads > 0) start(api_.SetIntraOpNumThreads(settings.get(), options.threads));
        append_provider(settings.get());
        const std::string problem = library_->message_of(
            api_.CreateSession(&library_->environment(), path.c_str(), settings.get(), session_.out()));
        if (!problem.empty()) {
            throw Error(ErrorKind::bundle, library_->shown() + " cannot load " + path + ": " + problem);
        }
        for (Released<OrtRunOptions>* each : {&short_, &long_}) {
            start(api_.CreateRunOptions(each->out()));
            start(api_.RunOptionsSetRunLogSeverityLevel(each->get(), ORT_LOGGING_LEVEL_FATAL));
        }
        if (provider_ == "cpu") {  // what the longest clip took would be held until the end
            start(api_.AddRunConfigEntry(long_.get(), "memory.enable_memory_arena_shrinkage", "cpu:0"));
        }
        start(api_.CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, memory_.out()));
        find_outputs();
    }

    const std::string& provider() const override { return provider_; }

    std::vector<Fetch> run(const std::vector<Feed>& feeds,
                           const std::vector<std::string>& names) const override {
        const auto shape = [&] { return "an input of shape " + shown(feeds.front().shape); };
        const auto compute = [&](OrtStatus* status) {
            const std::string problem = library_->message_of(status);
            if (!problem.empty()) {
                throw Error(ErrorKind::inference,
                            "provider '" + provider_ + "' failed on " + shape() + ": " + problem);
            }
        };
        std::vector<Released<OrtValue>> inputs;
        std::vector<const OrtValue*> given;
        std::vector<const char*> given_names, wanted;
        for (const Feed& feed : feeds) {
            inputs.emplace_back(api_.ReleaseValue);
            compute(tensor(feed, inputs.back()));
            given.push_back(inputs.back().get());
            given_names.push_back(feed.name.c_str());
        }
        for (const std::string& name : names) {
            if (has(name)) wanted.push_back(name.c_str());
        }
        std::vector<OrtValue*> values(wanted.size());
        const bool longer = volume(feeds.front().shape, 1) >= kLongClip;
        OrtStatus* status = api_.Run(session_.get(), (longer ? long_ : short_).get(), given_names.data(),
                                     given.data(), given.size(), wanted.data(), wanted.size(), values.data());
        std::vector<std::shared_ptr<void>> owners;
        for (OrtValue* value : values) owners.emplace_back(value, [this](void* own) { release(own); });
        compute(status);
        std::vector<Fetch> fetched;
        std::size_t index = 0;
        for (const std::string& name : names) {
            fetched.push_back(has(name) ? fetch(values[index], owners[index], compute)
                                        : Fetch{"nothing", {}, {}, {}});
            if (has(name)) ++index;
        }
        return fetched;
    }

  private:
    void start(OrtStatus* status) const {
        const std::string problem = library_->message_of(status);
        if (!problem.empty())
            throw Error(ErrorKind::runtime, library_->shown() + " does not start: " + problem);
    }

    void append_provider(OrtSessionOptions* settings) const {
        std::string problem;
        if (provider_ == "cuda") problem = append_cuda(settings);
        if (provider_ == "tensorrt") {
            Released<OrtTensorRTProviderOptionsV2> own(api_.ReleaseTensorRTProviderOptions);
            problem = library_->message_of(api_.CreateTensorRTProviderOptions(own.out()));
            if (problem.empty()) {
                problem = library_->message_of(
                    api_.SessionOptionsAppendExecutionProvider_TensorRT_V2(settings, own.get()));
            }
        }
        if (provider_ == "tensorrt-rtx") {
            problem = library_->message_of(
                api_.SessionOptionsAppendExecutionProvider(settings, "NvTensorRTRTX", nullptr, nullptr, 0));
        }
        if (!problem.empty()) {
            throw Error(ErrorKind::argument,
                        "provider '" + provider_ + "' could not be started here (" + problem +
                            "); check the driver and the libraries of CUDA, or use provider 'cpu'");
        }
    }

    std::string append_cuda(OrtSessionOptions* settings) const {
        Released<OrtCUDAProviderOptionsV2> own(api_.ReleaseCUDAProviderOptions);
        std::string problem = library_->message_of(api_.CreateCUDAProviderOptions(own.out()));
        if (problem.empty()) {
            problem = library_->message_of(api_.UpdateCUDAProviderOptions(
                own.get(), kCudaKeys.data(), kCudaValues.data(), kCudaKeys.size()));
        }
        if (problem.empty()) {
            problem =
                library_->message_of(api_.SessionOptionsAppendExecutionProvider_CUDA_V2(settings, own.get()));
        }
        return problem;
    }

    void find_outputs() {
        OrtAllocator* allocator = nullptr;
        std::size_t count = 0;
        start(api_.GetAllocatorWithDefaultOptions(&allocator));
        start(api_.SessionGetOutputCount(session_.get(), &count));
        for (std::size_t index = 0; index < count; ++index) {
            char* name = nullptr;
            start(api_.SessionGetOutputName(session_.get(), index, allocator, &name));
            outputs_.emplace_back(name);
            allocator->Free(allocator, name);
        }
    }

    bool has(const std::string& name) const {
        return std::find(outputs_.begin(), outputs_.end(), name) != outputs_.end();
    }

    OrtStatus* tensor(const Feed& feed, Released<OrtValue>& value) const {
        ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL;
        std::size_t size = 1;
        if (feed.type == Element::float32) type = ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, size = sizeof(float);
        if (feed.type == Element::int64)
            type = ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, size = sizeof(std::int64_t);
        // The inputs of a run are only read.
        return api_.CreateTensorWithDataAsOrtValue(memory_.get(), const_cast<void*>(feed.data),
                                                   size * static_cast<std::size_t>(volume(feed.shape)),
                                                   feed.shape.data(), feed.shape.size(), type, value.out());
    }

    template <typename Check>
    Fetch fetch(OrtValue* value, std::shared_ptr<void> owner, const Check& check) const {
        int is_tensor = 0;
        check(api_.IsTensor(value, &is_tensor));
        if (!is_tensor) return {"something else than a tensor", {}, {}, {}};
        Released<OrtTensorTypeAndShapeInfo> info(api_.ReleaseTensorTypeAndShapeInfo);
        check(api_.GetTensorTypeAndShape(value, info.out()));
        ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
        std::size_t rank = 0;
        check(api_.GetTensorElementType(info.get(), &type));
        check(api_.GetDimensionsCount(info.get(), &rank));
        Fetch made{name_of(type), std::vector<std::int64_t>(rank), nullptr, std::move(owner)};
        check(api_.GetDimensions(info.get(), made.shape.data(), rank));
        if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) {
            void* data = nullptr;
            check(api_.GetTensorMutableData(value, &data));
            made.values = static_cast<const float*>(data);
        }
        return made;
    }

    void release(void* value) const {
        if (value) api_.ReleaseValue(static_cast<OrtValue*>(value));
    }

    std::shared_ptr<const Library> library_;
    const OrtApi& api_;
    std::string provider_;
    Released<OrtMemoryInfo> memory_;
    Released<OrtSession> session_;
    Released<OrtRunOptions> short_, long_;
    std::vector<std::string> outputs_;
};

}  // namespace

std::unique_ptr<Session> open_onnx_runtime(std::shared_ptr<const Library> library, const std::string& path,
                                           const OnnxRuntimeOptions& options) {
    return std::make_unique<OnnxRuntimeSession>(std::move(library), path, options);
}

}  // namespace w2vc::sessions
