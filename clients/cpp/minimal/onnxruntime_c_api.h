// The part of ONNX Runtime's C API that tagger.hpp needs, for a machine that has the library without its headers, such as
// one with a wheel or an npm package. The full header is in the releases of ONNX Runtime and in libonnxruntime-dev.
//
// OrtApi is a table of functions that only grows at its end, so their places, in comments, are the same in every release.

#pragma once

#include <cstddef>
#include <cstdint>

#define ORT_API_VERSION 11

struct OrtStatus;
struct OrtEnv;
struct OrtSession;
struct OrtSessionOptions;
struct OrtRunOptions;
struct OrtMemoryInfo;
struct OrtValue;
struct OrtTensorTypeAndShapeInfo;
enum OrtLoggingLevel { ORT_LOGGING_LEVEL_WARNING = 2 };
enum OrtAllocatorType { OrtDeviceAllocator = 0 };
enum OrtMemType { OrtMemTypeDefault = 0 };
enum ONNXTensorElementDataType { ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT = 1, ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64 = 7 };

struct OrtApi {
  void* from_0[2];
  const char* (*GetErrorMessage)(const OrtStatus*);                                            // 2
  OrtStatus* (*CreateEnv)(OrtLoggingLevel, const char* name, OrtEnv**);                        // 3
  void* from_4[3];
  OrtStatus* (*CreateSession)(const OrtEnv*, const char*, const OrtSessionOptions*, OrtSession**);  // 7
  void* from_8[1];
  OrtStatus* (*Run)(OrtSession*, const OrtRunOptions*, const char* const* input_names, const OrtValue* const* inputs,
                    std::size_t inputs_count, const char* const* output_names, std::size_t outputs_count,
                    OrtValue** outputs);                                                       // 9
  OrtStatus* (*CreateSessionOptions)(OrtSessionOptions**);                                     // 10
  void* from_11[19];
  OrtStatus* (*SessionGetInputCount)(const OrtSession*, std::size_t*);                         // 30
  void* from_31[18];
  OrtStatus* (*CreateTensorWithDataAsOrtValue)(const OrtMemoryInfo*, void* data, std::size_t bytes,
                                               const std::int64_t* shape, std::size_t rank,
                                               ONNXTensorElementDataType, OrtValue**);         // 49
  void* from_50[1];
  OrtStatus* (*GetTensorMutableData)(OrtValue*, void** data);                                  // 51
  void* from_52[8];
  OrtStatus* (*GetTensorElementType)(const OrtTensorTypeAndShapeInfo*, ONNXTensorElementDataType*);  // 60
  void* from_61[3];
  OrtStatus* (*GetTensorShapeElementCount)(const OrtTensorTypeAndShapeInfo*, std::size_t*);    // 64
  OrtStatus* (*GetTensorTypeAndShape)(const OrtValue*, OrtTensorTypeAndShapeInfo**);           // 65
  void* from_66[3];
  OrtStatus* (*CreateCpuMemoryInfo)(OrtAllocatorType, OrtMemType, OrtMemoryInfo**);            // 69
  void* from_70[22];
  void (*ReleaseEnv)(OrtEnv*);                                                                 // 92
  void (*ReleaseStatus)(OrtStatus*);                                                           // 93
  void (*ReleaseMemoryInfo)(OrtMemoryInfo*);                                                   // 94
  void (*ReleaseSession)(OrtSession*);                                                         // 95
  void (*ReleaseValue)(OrtValue*);                                                             // 96
  void* from_97[2];
  void (*ReleaseTensorTypeAndShapeInfo)(OrtTensorTypeAndShapeInfo*);                           // 99
  void (*ReleaseSessionOptions)(OrtSessionOptions*);                                           // 100
};

static_assert(offsetof(OrtApi, ReleaseSessionOptions) == 100 * sizeof(void*), "a place is wrong");

struct OrtApiBase {
  const OrtApi* (*GetApi)(std::uint32_t version);
  const char* (*GetVersionString)();
};

extern "C" const OrtApiBase* OrtGetApiBase();
