package dev.performer.savedmodel.softmax;

import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.NodeDef;

/**
 * A product of two tensors, by letters for their axes as an einsum has them.
 *
 * @param operands letters of both
 * @param out letters of the product
 */
record Contraction(List<String> operands, String out) {
  static final Set<String> OPS =
      Set.of("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum");
  private static final String LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

  /** What a node computes. @param ranks of its inputs */
  static Optional<Contraction> of(NodeDef node, int first, int second) {
    return switch (node.getOp()) {
      case "Einsum" -> einsum(node.getAttrOrThrow("equation").getS().toStringUtf8(), first, second);
      case "MatMul" -> Optional.of(product(node, "transpose_a", "transpose_b", 2, 2));
      default -> Optional.of(product(node, "adj_x", "adj_y", first, second));
    };
  }

  private static Contraction product(NodeDef node, String left, String right, int x, int y) {
    int batch = Math.max(x, y) - 2;
    String all = LETTERS.substring(0, batch);
    String a = isSet(node, left) ? "YX" : "XY";
    String b = isSet(node, right) ? "ZY" : "YZ";
    return new Contraction(
        List.of(all.substring(batch - x + 2) + a, all.substring(batch - y + 2) + b), all + "XZ");
  }

  private static boolean isSet(NodeDef node, String attribute) {
    return node.getAttrOrDefault(attribute, AttrValue.getDefaultInstance()).getB();
  }

  private static Optional<Contraction> einsum(String equation, int first, int second) {
    String[] sides = equation.replace(" ", "").split("->", -1);
    String[] in = sides[0].split(",", -1);
    if (sides.length != 2 || in.length != 2) {
      return Optional.empty();
    }
    String letters = LETTERS.replaceAll("[" + equation.replaceAll("[^A-Za-z]", "") + "]", "");
    int x = first - in[0].replace("...", "").length();
    int y = second - in[1].replace("...", "").length();
    int most = Math.max(in[0].contains("...") ? x : 0, in[1].contains("...") ? y : 0);
    String batch = letters.substring(0, most);
    var product =
        new Contraction(
            List.of(
                in[0].replace("...", batch.substring(Math.max(0, most - x))),
                in[1].replace("...", batch.substring(Math.max(0, most - y)))),
            sides[1].replace("...", batch));
    boolean isPlain =
        product.operands.stream().allMatch(s -> s.chars().distinct().count() == s.length())
            && product.operands.get(0).length() == first
            && product.operands.get(1).length() == second;
    return isPlain ? Optional.of(product) : Optional.empty();
  }

  /** Whether nothing is summed over in one operand alone. */
  boolean isProduct() {
    return operands.stream()
        .flatMapToInt(String::chars)
        .allMatch(c -> out.indexOf(c) >= 0 || summed().contains((char) c));
  }

  /** Letters of both operands that the product has not. */
  List<Character> summed() {
    return operands.get(0).chars().mapToObj(c -> (char) c).filter(this::isSummed).toList();
  }

  private boolean isSummed(char letter) {
    return operands.get(1).indexOf(letter) >= 0 && out.indexOf(letter) < 0;
  }
}
