#include <w2vc/w2vc.h>

const char* version_in_c(void);

const char* version_in_c(void) {
    const w2vc_options options = W2VC_OPTIONS_INIT;
    const w2vc_beam_options beam = W2VC_BEAM_OPTIONS_INIT;
    return options.size && beam.size ? w2vc_version() : "";
}
