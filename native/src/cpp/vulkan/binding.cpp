// Devices and what runs hold of them, in JavaScript: everything slow happens on a thread of libuv's pool.
#include "binding.h"

#include <functional>
#include <map>
#include <mutex>
#include <unordered_map>


namespace specoffload::vulkan {

namespace {


/** Shared by all threads of the process. Never destroyed: a thread may be in it when the process ends. */
struct Registry {
  std::mutex mutex;
  uint64_t nextId = 1;
  std::map<std::tuple<uint32_t, bool, bool>, uint64_t> gpuIds;
  std::unordered_map<uint64_t, std::shared_ptr<Gpu>> gpus;
  std::unordered_map<uint64_t, std::shared_ptr<Session>> sessions;
};

Registry& registry() {
  static Registry* instance = new Registry;
  return *instance;
}

std::shared_ptr<Gpu> gpuOf(uint64_t id) {
  std::lock_guard<std::mutex> lock(registry().mutex);
  const auto found = registry().gpus.find(id);
  if (found == registry().gpus.end()) throw RangeError("invalid Vulkan device; expected one that is open");
  return found->second;
}

/** Work beside JavaScript, and its result there. */
class Job : public Napi::AsyncWorker {
public:
  using Finish = std::function<Napi::Value(Napi::Env)>;

  static Napi::Value start(Napi::Env env, std::function<Finish()> work) {
    auto* job = new Job(env, std::move(work));
    job->Queue();
    return job->deferred_.Promise();
  }

private:
  Job(Napi::Env env, std::function<Finish()> work)
      : Napi::AsyncWorker(env), deferred_(Napi::Promise::Deferred::New(env)), work_(std::move(work)) {}

  void Execute() override { finish_ = work_(); }
  void OnOK() override { deferred_.Resolve(finish_(Env())); }
  void OnError(const Napi::Error& error) override { deferred_.Reject(vulkanErrorOf(Env(), error.Message()).Value()); }

  Napi::Promise::Deferred deferred_;
  std::function<Finish()> work_;
  Finish finish_;
};

const char* wordOf(VkPhysicalDeviceType type) {
  switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return "discrete";
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return "integrated";
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return "virtual";
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return "processor";
    default: return "other";
  }
}

Napi::Array wordsOf(Napi::Env env, const std::vector<std::string>& words) {
  Napi::Array array = Napi::Array::New(env, words.size());
  for (uint32_t i = 0; i < words.size(); ++i) array.Set(i, Napi::String::New(env, words[i]));
  return array;
}

Napi::Value matricesOf(Napi::Env env, const std::optional<Matrices>& matrices) {
  if (!matrices) return env.Null();
  Napi::Object object = Napi::Object::New(env);
  object.Set("format", matrices->isBf16 ? "bf16" : "f16");
  object.Set("blockRows", Napi::Number::New(env, matrices->rows));
  object.Set("blockOutputs", Napi::Number::New(env, matrices->outputs));
  object.Set("blockDepth", Napi::Number::New(env, matrices->depth));
  object.Set("subgroupSize", Napi::Number::New(env, matrices->subgroupSize));
  return object;
}

Napi::Object factsOf(Napi::Env env, const DeviceFacts& facts) {
  Napi::Object object = Napi::Object::New(env);
  const auto number = [&](const char* name, double value) { object.Set(name, Napi::Number::New(env, value)); };
  object.Set("name", facts.name);
  object.Set("driver", facts.driver);
  object.Set("type", wordOf(facts.type));
  object.Set("apiVersion", std::to_string(VK_API_VERSION_MAJOR(facts.apiVersion)) + "." +
                               std::to_string(VK_API_VERSION_MINOR(facts.apiVersion)));
  number("memoryBytes", static_cast<double>(facts.memoryBytes));
  if (facts.freeBytes) number("freeBytes", static_cast<double>(*facts.freeBytes));
  else object.Set("freeBytes", env.Null());
  if (facts.pciAddress.empty()) object.Set("pciAddress", env.Null());
  else object.Set("pciAddress", facts.pciAddress);
  number("largestAllocationBytes", static_cast<double>(facts.largestAllocationBytes));
  number("leastSubgroupSize", facts.leastSubgroupSize);
  number("sharedMemoryBytes", facts.sharedMemoryBytes);
  number("workgroupInvocations", facts.workgroupInvocations);
  number("workgroups", facts.workgroups);
  object.Set("features", wordsOf(env, facts.features));
  object.Set("missing", wordsOf(env, facts.missing));
  Napi::Array families = Napi::Array::New(env, facts.families.size());
  for (uint32_t i = 0; i < facts.families.size(); ++i) {
    const VkQueueFamilyProperties& family = facts.families[i];
    std::vector<std::string> does;
    if ((family.queueFlags & VK_QUEUE_GRAPHICS_BIT) != 0) does.emplace_back("graphics");
    if ((family.queueFlags & VK_QUEUE_COMPUTE_BIT) != 0) does.emplace_back("compute");
    if ((family.queueFlags & VK_QUEUE_TRANSFER_BIT) != 0) does.emplace_back("transfer");
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("queues", Napi::Number::New(env, family.queueCount));
    entry.Set("does", wordsOf(env, does));
    families.Set(i, entry);
  }
  object.Set("families", families);
  object.Set("matrices", matricesOf(env, facts.matrices));
  return object;
}

/** listDevices() -> facts of each */
Napi::Value listDevices(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guardVulkan(env, [&]() -> Napi::Value {
    const std::shared_ptr<Instance> instance = sharedInstance(false);
    Napi::Array all = Napi::Array::New(env, instance->devices().size());
    for (uint32_t i = 0; i < instance->devices().size(); ++i) {
      all.Set(i, factsOf(env, instance->describe(instance->devices()[i])));
    }
    return all;
  });
}

/** openGpu({index, validates, usesOneFamily}, cache: Uint8Array) -> Promise of {id, facts, hasCopyQueue} */
Napi::Value openGpu(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guardVulkan(env, [&]() -> Napi::Value {
    const auto given = info[0].As<Napi::Object>();
    GpuOptions options;
    options.index = static_cast<uint32_t>(wholeNumber(given.Get("index"), "index", 0, 255));
    options.validates = given.Get("validates").ToBoolean();
    options.usesOneFamily = given.Get("usesOneFamily").ToBoolean();
    const auto bytes = info[1].As<Napi::Uint8Array>();
    std::vector<uint8_t> cache(bytes.Data(), bytes.Data() + bytes.ByteLength());
    return Job::start(env, [options, cache = std::move(cache)]() -> Job::Finish {
      std::lock_guard<std::mutex> lock(registry().mutex);
      uint64_t& id = registry().gpuIds[{options.index, options.validates, options.usesOneFamily}];
      if (id == 0 || registry().gpus[id]->isLost()) {
        auto opened = std::make_shared<Gpu>(options, cache);
        id = registry().nextId++;
        registry().gpus[id] = std::move(opened);
      }
      return [id, gpu = registry().gpus[id]](Napi::Env env) -> Napi::Value {
        Napi::Object opened = Napi::Object::New(env);
        opened.Set("id", Napi::Number::New(env, static_cast<double>(id)));
        opened.Set("facts", factsOf(env, gpu->facts()));
        opened.Set("hasCopyQueue", Napi::Boolean::New(env, gpu->hasCopyQueue()));
        return opened;
      };
    });
  });
}

/** prepareKernels(gpuId, [{name, kind, code: Uint8Array, constants: number[]}]) -> Promise of their numbers */
Napi::Value prepareKernels(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guardVulkan(env, [&]() -> Napi::Value {
    const std::shared_ptr<Gpu> gpu = gpuOf(wholeNumber(info[0], "device", 1, maxWholeNumber));
    const auto given = info[1].As<Napi::Array>();
    std::vector<KernelSource> kernels;
    for (uint32_t i = 0; i < given.Length(); ++i) {
      const auto each = given.Get(i).As<Napi::Object>();
      KernelSource kernel;
      kernel.name = each.Get("name").ToString().Utf8Value();
      const auto constants = each.Get("constants").As<Napi::Array>();
      for (uint32_t c = 0; c < constants.Length(); ++c) {
        kernel.constants.push_back(static_cast<uint32_t>(wholeNumber(constants.Get(c), "constant", 0, UINT32_MAX)));
      }
      // What is compiled already need not be made.
      if (!gpu->numberOf(kernel)) {
        const auto code = each.Get("code").As<Napi::Uint8Array>();
        if (code.ByteLength() % 4 != 0) throw RangeError("invalid SPIR-V of " + kernel.name + ": not of whole words");
        kernel.words.resize(code.ByteLength() / 4);
        std::copy(code.Data(), code.Data() + code.ByteLength(), reinterpret_cast<uint8_t*>(kernel.words.data()));
      }
      kernel.kind = static_cast<uint8_t>(wholeNumber(each.Get("kind"), "kind", 0, mostKinds - 1));
      kernels.push_back(std::move(kernel));
    }
    return Job::start(env, [gpu, kernels = std::move(kernels)]() -> Job::Finish {
      std::vector<uint32_t> numbers = gpu->prepare(kernels);
      return [numbers = std::move(numbers)](Napi::Env env) -> Napi::Value {
        Napi::Array array = Napi::Array::New(env, numbers.size());
        for (uint32_t i = 0; i < numbers.size(); ++i) array.Set(i, Napi::Number::New(env, numbers[i]));
        return array;
      };
    });
  });
}

/** pipelineCache(gpuId) -> Uint8Array */
Napi::Value pipelineCache(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guardVulkan(env, [&]() -> Napi::Value {
    const std::vector<uint8_t> bytes = gpuOf(wholeNumber(info[0], "device", 1, maxWholeNumber))->pipelineCache();
    Napi::Uint8Array array = Napi::Uint8Array::New(env, bytes.size());
    std::copy(bytes.begin(), bytes.end(), array.Data());
    return array;
  });
}

std::vector<uint64_t> numbersOf(const Napi::Value& value, const char* name) {
  const auto array = value.As<Napi::Array>();
  std::vector<uint64_t> numbers;
  for (uint32_t i = 0; i < array.Length(); ++i) {
    numbers.push_back(wholeNumber(array.Get(i), name, 1, maxWholeNumber));
  }
  return numbers;
}

/**
 * openSession(gpuId, {bankBytes, banks, hostBankBytes, hostPieceBytes, arenas, exchangeBytes, stagingBytes,
 * refusesImport, refusesAllocation, losesAfter, freeBytes})
 * -> Promise of {id, reachesHost}
 */
Napi::Value openSession(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guardVulkan(env, [&]() -> Napi::Value {
    std::shared_ptr<Gpu> gpu = gpuOf(wholeNumber(info[0], "device", 1, maxWholeNumber));
    const auto given = info[1].As<Napi::Object>();
    SessionOptions options;
    options.bankBytes = wholeNumber(given.Get("bankBytes"), "bankBytes", 1, maxWholeNumber);
    options.banks = numbersOf(given.Get("banks"), "bank");
    options.hostBankBytes = wholeNumber(given.Get("hostBankBytes"), "hostBankBytes", 1, maxWholeNumber);
    options.hostPieceBytes = wholeNumber(given.Get("hostPieceBytes"), "hostPieceBytes", 4096, maxWholeNumber);
    const auto arenas = given.Get("arenas").As<Napi::Array>();
    for (uint32_t i = 0; i < arenas.Length(); ++i) options.host.push_back(openArenaOf(env, arenas.Get(i)));
    options.exchangeBytes = wholeNumber(given.Get("exchangeBytes"), "exchangeBytes", 4096, maxWholeNumber);
    options.stagingBytes = wholeNumber(given.Get("stagingBytes"), "stagingBytes", 4096, maxWholeNumber);
    options.faults.refusesImport = given.Get("refusesImport").ToBoolean();
    options.faults.refusesAllocation = given.Get("refusesAllocation").ToBoolean();
    const Napi::Value losesAfter = given.Get("losesAfter");
    if (losesAfter.IsNumber()) options.faults.losesAfter = losesAfter.ToNumber().Int64Value();
    const Napi::Value freeBytes = given.Get("freeBytes");
    if (freeBytes.IsNumber()) options.faults.freeBytes = freeBytes.ToNumber().Int64Value();
    return Job::start(env, [gpu, options = std::move(options)]() -> Job::Finish {
      auto session = std::make_shared<Session>(gpu, options);
      const bool reachesHost = session->reachesHost();
      std::lock_guard<std::mutex> lock(registry().mutex);
      const uint64_t id = registry().nextId++;
      registry().sessions[id] = std::move(session);
      return [id, reachesHost](Napi::Env env) -> Napi::Value {
        Napi::Object opened = Napi::Object::New(env);
        opened.Set("id", Napi::Number::New(env, static_cast<double>(id)));
        opened.Set("reachesHost", Napi::Boolean::New(env, reachesHost));
        return opened;
      };
    });
  });
}

/** closeSession(id): its memory is given back with its last queue. */
void closeSession(const Napi::CallbackInfo& info) {
  guardVulkan(info.Env(), [&] {
    const uint64_t id = wholeNumber(info[0], "session", 1, maxWholeNumber);
    std::shared_ptr<Session> last;  // destroyed outside the lock
    std::lock_guard<std::mutex> lock(registry().mutex);
    const auto found = registry().sessions.find(id);
    if (found == registry().sessions.end()) return;
    last = std::move(found->second);
    registry().sessions.erase(found);
  });
}

/** takeMessages() -> what the validation layer has said since it was last asked */
Napi::Value takeMessagesFrom(const Napi::CallbackInfo& info) { return wordsOf(info.Env(), takeMessages()); }

}  // namespace

std::shared_ptr<Session> sessionOf(uint64_t id) {
  std::lock_guard<std::mutex> lock(registry().mutex);
  const auto found = registry().sessions.find(id);
  if (found == registry().sessions.end()) throw RangeError("invalid session; expected one that is open");
  return found->second;
}

Napi::Error vulkanErrorOf(Napi::Env env, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("code", "VULKAN");
  return error;
}

void defineDevices(Napi::Env env, Napi::Object exports) {
  exports.Set("listDevices", Napi::Function::New(env, listDevices, "listDevices"));
  exports.Set("openGpu", Napi::Function::New(env, openGpu, "openGpu"));
  exports.Set("prepareKernels", Napi::Function::New(env, prepareKernels, "prepareKernels"));
  exports.Set("pipelineCache", Napi::Function::New(env, pipelineCache, "pipelineCache"));
  exports.Set("openSession", Napi::Function::New(env, openSession, "openSession"));
  exports.Set("closeSession", Napi::Function::New(env, closeSession, "closeSession"));
  exports.Set("takeMessages", Napi::Function::New(env, takeMessagesFrom, "takeMessages"));
}

}  // namespace specoffload::vulkan

namespace specoffload {

void initVulkan(Napi::Env env, Napi::Object exports) {
  Napi::Object vulkan = Napi::Object::New(env);
  vulkan::defineDevices(env, vulkan);
  vulkan::defineQueue(env, vulkan);
  vulkan::definePower(env, vulkan);
  exports.Set("vulkan", vulkan);
}

}  // namespace specoffload
