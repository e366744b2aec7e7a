// A meter of a card's power in JavaScript.
#include "binding.h"
#include "power.h"

namespace specoffload::vulkan {

namespace {

class PowerMeterObject : public Napi::ObjectWrap<PowerMeterObject> {
public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "PowerMeter",
                       {InstanceAccessor("source", &PowerMeterObject::source, nullptr),
                        InstanceMethod("samples", &PowerMeterObject::samples),
                        InstanceMethod("close", &PowerMeterObject::close)});
  }

  /** new PowerMeter({pciAddress, library, sysfs}) */
  explicit PowerMeterObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<PowerMeterObject>(info) {
    const auto given = info[0].As<Napi::Object>();
    const auto text = [&](const char* name) { return given.Get(name).ToString().Utf8Value(); };
    std::unique_ptr<PowerSource> source = findPowerSource({text("pciAddress"), text("library"), text("sysfs")});
    if (source) meter_ = std::make_unique<PowerMeter>(std::move(source));
  }

private:
  Napi::Value source(const Napi::CallbackInfo& info) {
    if (!meter_) return info.Env().Null();
    return Napi::String::New(info.Env(), meter_->sourceName());
  }

  Napi::Value samples(const Napi::CallbackInfo& info) {
    const std::vector<double> all = meter_ ? meter_->samples() : std::vector<double>();
    Napi::Float64Array array = Napi::Float64Array::New(info.Env(), all.size());
    std::copy(all.begin(), all.end(), array.Data());
    return array;
  }

  void close(const Napi::CallbackInfo&) { meter_.reset(); }

  std::unique_ptr<PowerMeter> meter_;  // null where nobody tells, or when it is closed
};

}  // namespace

void definePower(Napi::Env env, Napi::Object exports) { exports.Set("PowerMeter", PowerMeterObject::define(env)); }

}  // namespace specoffload::vulkan
