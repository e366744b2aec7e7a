#include "gpu.h"

#include <algorithm>

#include "vulkan_error.h"

namespace specoffload::vulkan {

namespace {

constexpr uint32_t none = UINT32_MAX;

/** The first family with all of `wanted` and nothing of `unwanted`. */
uint32_t findFamily(const std::vector<VkQueueFamilyProperties>& families, VkQueueFlags wanted, VkQueueFlags unwanted) {
  for (uint32_t i = 0; i < families.size(); ++i) {
    const VkQueueFlags flags = families[i].queueFlags;
    if (families[i].queueCount > 0 && (flags & wanted) == wanted && (flags & unwanted) == 0) return i;
  }
  return none;
}

}  // namespace

Gpu::Gpu(const GpuOptions& options, const std::vector<uint8_t>& cache)
    : instance_(sharedInstance(options.validates)) {
  const std::vector<VkPhysicalDevice>& devices = instance_->devices();
  if (options.index >= devices.size()) {
    throw VulkanError("there is no Vulkan device " + std::to_string(options.index) + "; found " +
                      std::to_string(devices.size()) + " (specoffload devices lists them)");
  }
  physical_ = devices[options.index];
  facts_ = instance_->describe(physical_);
  if (!facts_.missing.empty()) {
    std::string missing;
    for (const std::string& name : facts_.missing) missing += (missing.empty() ? "" : ", ") + name;
    throw VulkanError("the Vulkan device " + facts_.name + " cannot compute here: it lacks " + missing +
                      "; choose another device");
  }
  VkPhysicalDeviceMemoryProperties2 memory{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2};
  instance_->functions().vkGetPhysicalDeviceMemoryProperties2(physical_, &memory);
  memory_ = memory.memoryProperties;
  openDevice(options.usesOneFamily);
  openPipelines(cache);
}

/** A compute queue, and for copies one of a family that does nothing else, where there is one: the DMA engines. */
void Gpu::openDevice(bool usesOneFamily) {
  const auto& families = facts_.families;
  compute_.family = findFamily(families, VK_QUEUE_COMPUTE_BIT, VK_QUEUE_GRAPHICS_BIT);
  if (compute_.family == none) compute_.family = findFamily(families, VK_QUEUE_COMPUTE_BIT, 0);
  if (compute_.family == none) throw VulkanError("the Vulkan device " + facts_.name + " has no queue for computing");
  uint32_t copyFamily =
      findFamily(families, VK_QUEUE_TRANSFER_BIT, VK_QUEUE_COMPUTE_BIT | VK_QUEUE_GRAPHICS_BIT);
  uint32_t copyIndex = 0;
  if (copyFamily == none && families[compute_.family].queueCount > 1) {
    copyFamily = compute_.family;
    copyIndex = 1;
  }
  if (usesOneFamily) copyFamily = none;
  families_ = {compute_.family};
  if (copyFamily != none && copyFamily != compute_.family) families_.push_back(copyFamily);

  const float priorities[] = {1.0f, 1.0f};
  std::vector<VkDeviceQueueCreateInfo> queues;
  for (const uint32_t family : families_) {
    VkDeviceQueueCreateInfo info{VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO};
    info.queueFamilyIndex = family;
    info.queueCount = family == copyFamily ? copyIndex + 1 : 1;
    info.pQueuePriorities = priorities;
    queues.push_back(info);
  }
  MatrixFeatures matrixFeatures(facts_.matrices.value_or(Matrices{}));
  VkPhysicalDeviceVulkan13Features features13{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES};
  if (facts_.matrices) features13.pNext = matrixFeatures.chain(nullptr);
  features13.synchronization2 = VK_TRUE;
  VkPhysicalDeviceVulkan12Features features12{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, &features13};
  features12.timelineSemaphore = VK_TRUE;
  features12.hostQueryReset = VK_TRUE;
  features12.bufferDeviceAddress = VK_TRUE;
  features12.vulkanMemoryModel = facts_.matrices.has_value();
  features12.shaderFloat16 = facts_.matrices.has_value();
  VkPhysicalDeviceFeatures2 features{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, &features12};
  features.features.shaderInt64 = VK_TRUE;
  std::vector<const char*> extensions;
  if (facts_.importAlignmentBytes > 0) extensions.push_back(VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME);
  if (facts_.hasCalibratedTimestamps) extensions.push_back(VK_EXT_CALIBRATED_TIMESTAMPS_EXTENSION_NAME);
  if (facts_.matrices) {
    for (const char* name : matrixFeatures.extensions()) extensions.push_back(name);
  }
  VkDeviceCreateInfo info{VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, &features};
  info.queueCreateInfoCount = static_cast<uint32_t>(queues.size());
  info.pQueueCreateInfos = queues.data();
  info.enabledExtensionCount = static_cast<uint32_t>(extensions.size());
  info.ppEnabledExtensionNames = extensions.data();
  check(instance_->functions().vkCreateDevice(physical_, &info, nullptr, &device_),
        "the Vulkan device " + facts_.name + " does not open");
  vk_ = deviceFunctions(instance_->functions(), device_);
  vk_.vkGetDeviceQueue(device_, compute_.family, 0, &compute_.queue);
  compute_.timestampBits = families[compute_.family].timestampValidBits;
  if (copyFamily == none) return;
  copy_.family = copyFamily;
  copy_.timestampBits = families[copyFamily].timestampValidBits;
  vk_.vkGetDeviceQueue(device_, copyFamily, copyIndex, &copy_.queue);
}

void Gpu::openPipelines(const std::vector<uint8_t>& cache) {
  VkPipelineCacheCreateInfo cacheInfo{VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
  cacheInfo.initialDataSize = cache.size();
  cacheInfo.pInitialData = cache.data();
  check(vk_.vkCreatePipelineCache(device_, &cacheInfo, nullptr, &cache_), "the pipeline cache does not open");
  VkPushConstantRange range{VK_SHADER_STAGE_COMPUTE_BIT, 0, pushConstantBytes};
  VkPipelineLayoutCreateInfo layoutInfo{VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO};
  layoutInfo.pushConstantRangeCount = 1;
  layoutInfo.pPushConstantRanges = &range;
  check(vk_.vkCreatePipelineLayout(device_, &layoutInfo, nullptr, &layout_), "no layout for kernels");
}

std::vector<uint32_t> Gpu::prepare(const std::vector<KernelSource>& kernels) {
  std::lock_guard<std::mutex> compiling(compileMutex_);
  std::vector<uint32_t> numbers;
  for (const KernelSource& kernel : kernels) {
    const std::optional<uint32_t> known = numberOf(kernel);
    numbers.push_back(known ? *known : add(kernel, compile(kernel)));
  }
  return numbers;
}

std::optional<uint32_t> Gpu::numberOf(const KernelSource& kernel) const {
  std::lock_guard<std::mutex> lock(pipelinesMutex_);
  const auto known = pipelineNumbers_.find({kernel.name, kernel.constants});
  return known == pipelineNumbers_.end() ? std::nullopt : std::optional<uint32_t>(known->second);
}

uint32_t Gpu::add(const KernelSource& kernel, VkPipeline pipeline) {
  std::lock_guard<std::mutex> lock(pipelinesMutex_);
  const auto number = static_cast<uint32_t>(pipelines_.size());
  pipelines_.push_back(pipeline);
  kinds_.push_back(kernel.kind);
  pipelineNumbers_[{kernel.name, kernel.constants}] = number;
  return number;
}

VkPipeline Gpu::compile(const KernelSource& kernel) {
  VkShaderModuleCreateInfo moduleInfo{VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO};
  moduleInfo.codeSize = kernel.words.size() * sizeof(uint32_t);
  moduleInfo.pCode = kernel.words.data();
  VkShaderModule module = VK_NULL_HANDLE;
  check(vk_.vkCreateShaderModule(device_, &moduleInfo, nullptr, &module), "the kernel " + kernel.name + " is refused");
  std::vector<VkSpecializationMapEntry> entries;
  for (uint32_t i = 0; i < kernel.constants.size(); ++i) entries.push_back({i, 4 * i, 4});
  VkSpecializationInfo constants{};
  constants.mapEntryCount = static_cast<uint32_t>(entries.size());
  constants.pMapEntries = entries.data();
  constants.dataSize = kernel.constants.size() * sizeof(uint32_t);
  constants.pData = kernel.constants.data();
  VkComputePipelineCreateInfo info{VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO};
  info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
  info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
  info.stage.module = module;
  info.stage.pName = "main";
  info.stage.pSpecializationInfo = &constants;
  info.layout = layout_;
  VkPipeline pipeline = VK_NULL_HANDLE;
  const VkResult result = vk_.vkCreateComputePipelines(device_, cache_, 1, &info, nullptr, &pipeline);
  vk_.vkDestroyShaderModule(device_, module, nullptr);
  check(result, "the kernel " + kernel.name + " does not compile on " + facts_.name);
  return pipeline;
}

VkPipeline Gpu::kernel(size_t index) const {
  std::lock_guard<std::mutex> lock(pipelinesMutex_);
  return pipelines_.at(index);
}

uint8_t Gpu::kindOf(size_t index) const {
  std::lock_guard<std::mutex> lock(pipelinesMutex_);
  return kinds_.at(index);
}

size_t Gpu::numKernels() const {
  std::lock_guard<std::mutex> lock(pipelinesMutex_);
  return pipelines_.size();
}

std::vector<uint8_t> Gpu::pipelineCache() const {
  size_t size = 0;
  if (vk_.vkGetPipelineCacheData(device_, cache_, &size, nullptr) != VK_SUCCESS) return {};
  std::vector<uint8_t> bytes(size);
  if (vk_.vkGetPipelineCacheData(device_, cache_, &size, bytes.data()) != VK_SUCCESS) return {};
  bytes.resize(size);
  return bytes;
}

Gpu::~Gpu() {
  if (device_ == VK_NULL_HANDLE) return;
  vk_.vkDeviceWaitIdle(device_);
  for (const VkPipeline pipeline : pipelines_) vk_.vkDestroyPipeline(device_, pipeline, nullptr);
  vk_.vkDestroyPipelineLayout(device_, layout_, nullptr);
  vk_.vkDestroyPipelineCache(device_, cache_, nullptr);
  vk_.vkDestroyDevice(device_, nullptr);
}

}  // namespace specoffload::vulkan
