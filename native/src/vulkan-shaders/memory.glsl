// Memory by address: the device's pools have no descriptors, only addresses in push constants.
#extension GL_EXT_buffer_reference : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_int64 : require

layout(local_size_x_id = 0) in; // of every kernel; before gl_WorkGroupSize is first used, or that is 1

layout(buffer_reference, std430, buffer_reference_align = 4) buffer Floats { float at[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) buffer Words { uint at[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) readonly restrict buffer ReadFloats { float at[]; };
layout(buffer_reference, std430, buffer_reference_align = 4) readonly restrict buffer ReadWords { uint at[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) readonly restrict buffer ReadVec4s { vec4 at[]; };
layout(buffer_reference, std430, buffer_reference_align = 16) readonly restrict buffer ReadUvec4s { uvec4 at[]; };

// Sums and indices beyond 32 bits are taken in bytes, so that indices of `at` stay small.
uint64_t floatsFrom(uint64_t address, uint64_t count) { return address + 4ul * count; }

// Where more workgroups are needed than one axis may have, they go on along the second.
uint workgroup() { return gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x; }

// Of this thread among all, where every thread has one item.
uint item() { return workgroup() * gl_WorkGroupSize.x + gl_LocalInvocationID.x; }
