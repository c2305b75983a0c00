package dev.performer.checkpoint;

/**
 * One array in a msgpack file of Flax: where its elements are, or a number that stands in the tree
 * itself.
 *
 * @param type NumPy's name of the element type, such as {@code bfloat16}
 * @param shape dimensions
 * @param offset of the elements in the file; −1 if {@code number} is the value
 * @param length of the elements in bytes
 * @param number a Long, Double or Boolean of the tree, else null
 */
record FlaxLeaf(String type, long[] shape, long offset, long length, Object number) {
  static FlaxLeaf of(Object number) {
    String type = number instanceof Long ? "int64" : number instanceof Double ? "float64" : "bool";
    return new FlaxLeaf(type, new long[0], -1, type.equals("bool") ? 1 : 8, number);
  }
}
