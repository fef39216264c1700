/* Says that it is an old ONNX Runtime, which has no interface of this version. */
#include <onnxruntime/onnxruntime_c_api.h>

static const OrtApi* get_api(uint32_t version) NO_EXCEPTION {
    (void)version;
    return NULL;
}

static const char* get_version(void) NO_EXCEPTION {
    return VERSION;
}

const OrtApiBase* ORT_API_CALL OrtGetApiBase(void) NO_EXCEPTION {
    static const OrtApiBase base = {get_api, get_version};
    return &base;
}
