package dev.performer.graph;

import java.util.List;
import java.util.Map;
import org.tensorflow.GraphOperation;
import org.tensorflow.Operand;
import org.tensorflow.OperationBuilder;
import org.tensorflow.Output;
import org.tensorflow.op.Ops;
import org.tensorflow.op.RawCustomGradient;
import org.tensorflow.proto.AttrValue;
import org.tensorflow.proto.NodeDef;

/**
 * Gradient of a convolution with dilations or explicit paddings, which TensorFlow's own forgets. It
 * belongs to an {@code IdentityN} over the convolution's output, input and filter.
 */
final class ConvolutionGradient implements RawCustomGradient {
  private static final List<String> ATTRIBUTES =
      List.of("strides", "padding", "explicit_paddings", "data_format", "dilations");

  private final String type;
  private final Map<String, AttrValue> attributes;

  ConvolutionGradient(NodeDef convolution) {
    type = convolution.getOp();
    attributes = convolution.getAttrMap();
  }

  /** Whether TensorFlow's own gradient would be wrong. */
  static boolean isNeeded(NodeDef convolution) {
    AttrValue none = AttrValue.getDefaultInstance();
    boolean dilated =
        convolution.getAttrOrDefault("dilations", none).getList().getIList().stream()
            .anyMatch(dilation -> dilation != 1);
    return dilated
        || convolution.getAttrOrDefault("padding", none).getS().toStringUtf8().equals("EXPLICIT");
  }

  @Override
  public List<Operand<?>> call(Ops tf, GraphOperation node, List<Output<?>> gradients) {
    RawOps ops = new RawOps(tf);
    Output<?> dy = gradients.get(0);
    Output<?> input = node.input(1);
    Output<?> filter = node.input(2);
    OperationBuilder forInput =
        ops.builder(type + "BackpropInput")
            .addInput(ops.op("Shape", input))
            .addInput(filter)
            .addInput(dy);
    OperationBuilder forFilter =
        ops.builder(type + "BackpropFilter")
            .addInput(input)
            .addInput(ops.op("Shape", filter))
            .addInput(dy);
    // The consumers of the other two outputs of the IdentityN: there are none.
    return List.of(dy, build(forInput), build(forFilter));
  }

  private Output<?> build(OperationBuilder builder) {
    for (String attribute : ATTRIBUTES) {
      if (attributes.containsKey(attribute)) {
        builder.setAttr(attribute, attributes.get(attribute));
      }
    }
    return builder.build().output(0);
  }
}
