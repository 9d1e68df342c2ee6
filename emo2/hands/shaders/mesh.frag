#version 330 core

// The lines of emo2/hands/shading.py; the names in capitals are its numbers.
in vec3 facing;
in vec4 surface;

out vec4 frag_color;

void main()
{
    vec3 n = normalize(facing);
    vec3 albedo = surface.rgb;
    float skin = min(surface.a / SKIN_SHEEN, 1.0);
    float nail = max((surface.a - SKIN_SHEEN) / (1.0 - SKIN_SHEEN), 0.0);

    vec3 reach = skin * SCATTER;
    vec3 light = KEY_LIGHT * max((dot(n, KEY_TOWARDS) + reach) / (1.0 + reach), 0.0)
        + FILL_LIGHT * max(dot(n, FILL_TOWARDS), 0.0)
        + mix(GROUND_LIGHT, SKY_LIGHT, 0.5 + 0.5 * n.y);

    float grazing = 1.0 - clamp(n.z, 0.0, 1.0);
    float rim = grazing * grazing * grazing * max(dot(n, RIM_TOWARDS), 0.0);
    float gloss = skin * mix(SKIN_GLOSS, NAIL_GLOSS, nail)
        * pow(max(dot(n, KEY_HALF), 0.0), mix(SKIN_POWER, NAIL_POWER, nail));

    vec3 value = albedo * light + RIM_LIGHT * rim * (0.15 + albedo) + KEY_LIGHT * gloss;
    vec3 room = SHOULDER + (1.0 - SHOULDER) * tanh((value - SHOULDER) / (1.0 - SHOULDER));
    value = mix(value, room, step(vec3(SHOULDER), value));
    frag_color = vec4(pow(value, vec3(1.0 / 2.2)), 1.0);
}
