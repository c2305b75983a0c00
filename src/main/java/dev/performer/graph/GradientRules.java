package dev.performer.graph;

import java.util.List;
import java.util.Map;
import java.util.function.Function;
import org.tensorflow.Output;
import org.tensorflow.op.RawCustomGradient;

/** A rule for each op type that TensorFlow's C++ registry lacks, as families of them register. */
record GradientRules(Map<String, RawCustomGradient> byOp) {

  /** Of the first input; the others have none. */
  void first(Function<NodeGradient, Output<?>> rule, String... ops) {
    all(of -> List.of(rule.apply(of)), ops);
  }

  /** Of the inputs in order, null or left out at the end where there is none. */
  void all(Function<NodeGradient, List<Output<?>>> rule, String... ops) {
    for (String op : ops) {
      byOp.put(op, (tf, node, dy) -> new NodeGradient(tf, node, dy).by(rule));
    }
  }
}
