#version 330 core

// Hands and cuffs in the body frame [m]; color_0.a carries the sheen.
layout(location = 0) in vec3 position;
layout(location = NORMAL_LOC) in vec3 normal;
layout(location = COLOR_0_LOC) in vec4 color_0;
layout(location = INST_M_LOC) in mat4 inst_m;

uniform mat4 M;
uniform mat4 V;
uniform mat4 P;

out vec3 facing;
out vec4 surface;

void main()
{
    gl_Position = P * V * M * inst_m * vec4(position, 1.0);
    facing = normal;
    surface = color_0;
}
