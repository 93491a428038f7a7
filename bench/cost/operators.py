"""The operators that multiply no weights by the convention of this package, for each kind of graph.

Element-wise work, pooling and moves of data. Any operator that is neither here nor counted is reported as uncountable.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, TypeVar

Name = TypeVar("Name", bound=Hashable)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# In place: each element written comes from the same place of the inputs, so that one of them can be overwritten.
KERAS_IN_PLACE = _words("""
    Absolute Activation ActivityRegularization Add AlphaDropout Average BatchNormalization Cast Ceil Clip
    CustomScaleLayer Divide Dropout ELU Elu Exp Flatten GaussianDropout GaussianNoise Gelu GroupNormalization
    HardSigmoid HardSilu Identity LayerNormalization LayerScale LeakyReLU LeakyRelu Log LogSigmoid LogSoftmax Maximum
    Minimum Multiply Negative Normalization PReLU Power RMSNormalization ReLU Relu Relu6 Rescaling Reshape Sigmoid Silu
    Softmax Softplus Softsign SpatialDropout1D SpatialDropout2D SpatialDropout3D Sqrt Square StochasticDepth Subtract
    Tanh TrueDivide UnitNormalization
""")
KERAS_OTHER = _words("""
    AdaptiveAveragePooling2D Argmax Argmin AveragePooling1D AveragePooling2D AveragePooling3D BroadcastTo CenterCrop
    Concatenate Cropping1D Cropping2D Cropping3D ExpandDims Flip GetItem GlobalAveragePooling1D GlobalAveragePooling2D
    GlobalAveragePooling3D GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D InputLayer Max MaxPooling1D
    MaxPooling2D MaxPooling3D Mean Min Moveaxis Norm Pad Permute Prod Repeat RepeatVector Resizing Roll Split Squeeze
    Stack Std Sum Swapaxes Take Tile TopK Transpose Unstack UpSampling1D UpSampling2D UpSampling3D Var ZeroPadding1D
    ZeroPadding2D ZeroPadding3D
""")
# In training alone; in inference they hand their input on, or resize and crop it.
KERAS_AUGMENTING = _words("""
    AugMix AutoContrast CutMix Equalization MaxNumBoundingBoxes MixUp Pipeline RandAugment RandomBrightness
    RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop RandomElasticTransform RandomErasing RandomFlip
    RandomGaussianBlur RandomGrayscale RandomHeight RandomHue RandomInvert RandomPerspective RandomPosterization
    RandomRotation RandomSaturation RandomSharpness RandomShear RandomTranslation RandomWidth RandomZoom Solarization
""")
ONNX_IN_PLACE = _words("""
    Abs Acos Acosh Add And Asin Asinh Atan Atanh BatchNormalization BitShift BitwiseAnd BitwiseNot BitwiseOr
    BitwiseXor Cast CastLike Ceil Celu Clip Cos Cosh DequantizeLinear Div Dropout Elu Equal Erf Exp Flatten Floor
    Gelu Greater GreaterOrEqual GroupNormalization HardSigmoid HardSwish Hardmax Identity InstanceNormalization
    IsInf IsNaN LRN LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization Max
    MeanVarianceNormalization Min Mish Mod Mul Neg Not Or PRelu Pow QuantizeLinear RMSNormalization Reciprocal Relu
    Reshape Round Selu Shrink Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Squeeze Sub Sum Swish Tan Tanh
    ThresholdedRelu Unsqueeze Where Xor
""")
ONNX_OTHER = _words("""
    ArgMax ArgMin AveragePool CenterCropPad Compress Concat ConcatFromSequence ConstantOfShape CumSum DepthToSpace
    DynamicQuantizeLinear Expand EyeLike Gather GatherElements GatherND GlobalAveragePool GlobalLpPool GlobalMaxPool
    LpPool MaxPool MaxRoiPool MaxUnpool NonMaxSuppression NonZero OneHot Pad RandomNormal RandomNormalLike
    RandomUniform RandomUniformLike Range ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean
    ReduceMin ReduceProd ReduceSum ReduceSumSquare Resize ReverseSequence RoiAlign Scatter ScatterElements ScatterND
    SequenceAt SequenceConstruct SequenceEmpty SequenceInsert SequenceLength Shape Size Slice SpaceToDepth Split
    SplitToSequence Tile TopK Transpose Trilu Unique Upsample
""")
# Where an ONNX operator may read learnt weights: at every input, or at these places; elsewhere at the first alone. A
# scale, a zero point, a bound or an axis is no parameter of the network.
ONNX_LEARNT_EVERYWHERE = _words("""
    Add BatchNormalization Conv ConvTranspose Div Gemm GroupNormalization InstanceNormalization LayerNormalization
    MatMul Mul PRelu RMSNormalization Sub
""")
ONNX_LEARNT_AT = {"ConvInteger": (0, 1), "MatMulInteger": (0, 1), "QLinearConv": (0, 3, 8), "QLinearMatMul": (0, 3),
                  "LSTM": (1, 2, 3, 7), "GRU": (1, 2, 3), "RNN": (1, 2, 3)}  # fmt: skip
ONNX_SCALABLE = _words("Add Div Mul Sub")  # a lone number beside these is a constant of a formula, not a weight
ONNX_WEIGHT_TYPES = _words("FLOAT FLOAT16 BFLOAT16 DOUBLE INT4 UINT4 INT8 UINT8 INT32 FLOAT8E4M3FN FLOAT8E5M2")
TFLITE_IN_PLACE = _words("""
    ABS ADD ADD_N ATAN2 BITCAST BITWISE_XOR BUCKETIZE CAST CEIL COS DEQUANTIZE DIV ELU EQUAL EXP EXPAND_DIMS FAKE_QUANT
    FLOOR FLOOR_DIV FLOOR_MOD GELU GREATER GREATER_EQUAL HARD_SWISH L2_NORMALIZATION LEAKY_RELU LESS LESS_EQUAL
    LOCAL_RESPONSE_NORMALIZATION LOG LOGICAL_AND LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM MINIMUM MUL NEG
    NOT_EQUAL POW PRELU QUANTIZE RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 RESHAPE RIGHT_SHIFT ROUND RSQRT SELECT SELECT_V2
    SIGN SIN SOFTMAX SQRT SQUARE SQUARED_DIFFERENCE SQUEEZE SUB TANH ZEROS_LIKE
""")
TFLITE_OTHER = _words("""
    ARG_MAX ARG_MIN AVERAGE_POOL_2D BATCH_TO_SPACE_ND BROADCAST_ARGS BROADCAST_TO CONCATENATION CUMSUM DENSIFY
    DEPTH_TO_SPACE DYNAMIC_UPDATE_SLICE EMBEDDING_LOOKUP FILL GATHER GATHER_ND L2_POOL_2D MATRIX_DIAG MATRIX_SET_DIAG
    MAX_POOL_2D MEAN MIRROR_PAD MULTINOMIAL NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5 ONE_HOT PACK PAD PADV2
    RANDOM_STANDARD_NORMAL RANDOM_UNIFORM RANGE RANK REDUCE_ALL REDUCE_ANY REDUCE_MAX REDUCE_MIN REDUCE_PROD
    RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_SEQUENCE REVERSE_V2 SCATTER_ND SEGMENT_SUM SHAPE SLICE
    SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPARSE_TO_DENSE SPLIT SPLIT_V STRIDED_SLICE SUM TILE TOPK_V2 TRANSPOSE UNIQUE
    UNPACK WHERE
""")
TFLITE_LEARNT_EVERYWHERE = _words("ADD DIV MUL PRELU SUB")
TFLITE_SCALABLE = _words("ADD DIV MUL SUB")
TFLITE_WEIGHT_TYPES = _words("BFLOAT16 FLOAT16 FLOAT32 FLOAT64 INT4 INT8 INT16 INT32 INT64 UINT8")
# Their output may be far larger than what they read, by sizes that only their values say.
ONNX_GROWING = _words("CenterCropPad ConstantOfShape Expand EyeLike OneHot Pad Range Resize Tile Upsample")


def newly_paid(
    weights: Iterable[frozenset[Name]], paid: set[Name], elements: Mapping[Name, int], *, scalable: bool
) -> int:
    """Elements of weights that are read for the first time; `paid` knows from then on that they were.

    Args:
        weights: what each learnt input of a node is made of.
        paid: what was read before.
        elements: of each weight, how many.
        scalable: whether a lone number beside the operator is a constant of a formula, and no weight.
    """
    new = frozenset[Name]().union(*weights) - paid
    paid |= new
    sizes = [elements.get(name, 0) for name in new]
    return sum(size for size in sizes if size > 1 or not scalable)


def is_free(node: Any) -> bool:
    """Whether a node (with an `op_type` and a `domain`) is a standard operator that multiplies no weights."""
    return node.domain in ("", "ai.onnx") and node.op_type in ONNX_IN_PLACE | ONNX_OTHER
