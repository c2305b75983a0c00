package dev.performer.savedmodel;

import java.util.Map;
import java.util.function.Function;
import org.tensorflow.Operand;
import org.tensorflow.op.Ops;

/** Adds the ops of one signature. It is called once for each function that needs them. */
@FunctionalInterface
public interface SignatureBody {
  /**
   * @param tf where to add ops
   * @param inputs the signature's inputs by name
   * @param readVariable the value of the variable of a name
   * @return the outputs by name
   */
  Map<String, Operand<?>> build(
      Ops tf, Map<String, Operand<?>> inputs, Function<String, Operand<?>> readVariable);
}
