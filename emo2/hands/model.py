"""The hand layer: a `HandMotion` becomes hand meshes and joints in the body frame, through unmodified `smplx.MANO`.

Conventions, which everything that makes or draws a motion shares:

* Body frame: x to the person's left (the right of the picture), y up, z towards the camera, metres.
* Hand index 0 = the person's left hand, 1 = the right. Quaternions are wxyz.
* `motion.translation_m` is where the WRIST JOINT is. MANO itself turns a hand about its wrist joint J0, which is not
  its origin; this module converts, so that `joints(motion)[..., 0, :] == motion.translation_m`.
* `motion.quaternions[..., 0, :]` is the wrist's orientation in the body frame. The identity is the T-pose: palms down,
  thumbs to the camera, the left hand's fingers point along +x (to the person's left), the right hand's along -x.
  `emo2.hands.shapes.wrist_rotation(fingers, palm, hand)` builds any other from where the fingers and the palm face.
* The other 15 rotations are relative to the parent joint; the identity is the flat hand.
  `emo2.hands.shapes.handshape(name, hand)` and `finger_quaternions(angles, hand)` build them.
"""
